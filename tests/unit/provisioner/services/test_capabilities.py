"""Readiness towards Kubernetes: what is missing is said in words."""

import pytest

from postern_common.errors import TransientError
from postern_common.kube.errors import UnavailableError
from postern_common.kube.paths import CLUSTERS, POD_MONITORS
from postern_common.testing.kube import FakeKube
from postern_provisioner.services.capabilities import REQUIRED_RIGHTS, Capabilities
from postern_provisioner.storage.objects import ClusterFacts


async def test_a_cluster_with_everything_is_ready() -> None:
    await Capabilities(ClusterFacts(FakeKube())).check()


async def test_a_missing_definition_is_named() -> None:
    kube = FakeKube()
    kube.uninstall(CLUSTERS)
    with pytest.raises(TransientError) as missing:
        await Capabilities(ClusterFacts(kube)).check()

    assert missing.value.code == "crd_missing"
    assert "clusters.postgresql.cnpg.io" in missing.value.detail


async def test_missing_rights_are_named() -> None:
    kube = FakeKube()
    kube.denied = {("patch", "clusters/status"), ("get", "secrets")}
    with pytest.raises(TransientError) as missing:
        await Capabilities(ClusterFacts(kube)).check()

    assert missing.value.code == "kubernetes_forbidden"
    assert missing.value.detail == "our account in Kubernetes may not: patch clusters/status, get secrets"


async def test_an_unreachable_cluster_is_said_so() -> None:
    kube = FakeKube()
    kube.fail_once(UnavailableError("kubernetes_unavailable", "down"))
    with pytest.raises(UnavailableError):
        await Capabilities(ClusterFacts(kube)).check()


def test_no_right_is_asked_to_list_secrets() -> None:
    assert ("list", "secrets") not in {(verb, resource.plural) for verb, resource, _ in REQUIRED_RIGHTS}


async def test_a_kind_that_was_installed_later_is_found_after_a_refresh() -> None:
    kube = FakeKube()
    capabilities = Capabilities(ClusterFacts(kube))
    assert not await capabilities.serves_pod_monitors()
    kube.install(POD_MONITORS)
    assert not await capabilities.serves_pod_monitors()
    capabilities.refresh()
    assert await capabilities.serves_pod_monitors()
