"""Connection and credentials: what the gateway is told, and when it must wait."""

import base64
from typing import Any
from uuid import UUID

import pytest
from tests.unit.provisioner.commands import CLUSTER, DATABASE_ID, NAMESPACE, desired, target

from postern_common.errors import ClientError, DependencyDownError
from postern_common.kube.errors import UnavailableError
from postern_common.testing.kube import FakeKube
from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.domain.target import Target
from postern_provisioner.services.connecting import ConnectionService
from postern_provisioner.storage.objects import ObjectStore


class OneTarget:
    """A target store with at most one target."""

    def __init__(self, known: Target | None) -> None:
        self._known = known

    async def find(self, database_id: UUID) -> Target | None:
        assert database_id == DATABASE_ID
        return self._known


KNOWN = target()


def service(
    kube: FakeKube, known: Target | None = KNOWN, mode: AddressMode = AddressMode.DEVELOPMENT
) -> ConnectionService:
    return ConnectionService(objects=ObjectStore(kube, "me"), targets=OneTarget(known), mode=mode)  # type: ignore[arg-type]


@pytest.fixture
def kube() -> FakeKube:
    fake = FakeKube()
    for number, suffix in enumerate(("rw", "ro", "r")):
        fake.seed(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": f"{CLUSTER}-{suffix}",
                    "namespace": NAMESPACE,
                    "annotations": {"postern.dev/dev-address": f"127.0.0.{number + 1}:5432"},
                },
            }
        )
    fake.seed(secret("app", username="app", password="p€ss", dbname="app", uri="postgresql://old"))
    fake.seed(secret("ca", **{"ca.crt": "-----BEGIN CERTIFICATE-----", "ca.key": "the authority's key"}))
    return fake


def secret(suffix: str, **data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": f"{CLUSTER}-{suffix}", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


async def test_credentials_lead_to_the_primary(kube: FakeKube) -> None:
    found = await service(kube).credentials(DATABASE_ID)

    assert (found.username, found.password, found.dbname) == ("app", "p€ss", "app")
    assert (found.endpoint.host, found.endpoint.port, found.sslmode) == ("127.0.0.1", 5432, "require")


async def test_a_password_is_in_no_traceback(kube: FakeKube) -> None:
    assert "p€ss" not in repr(await service(kube).credentials(DATABASE_ID))


async def test_the_connection_has_all_roles_and_the_authoritys_certificate_alone(kube: FakeKube) -> None:
    found = await service(kube).connection(DATABASE_ID)

    assert [e.role for e in found.endpoints] == ["primary", "replicas", "any"]
    assert found.ca_certificate == "-----BEGIN CERTIFICATE-----"
    assert "authority's key" not in repr(found)


async def test_a_single_instance_offers_no_replicas(kube: FakeKube) -> None:
    found = await service(kube, target(desired=desired(instances=1))).connection(DATABASE_ID)

    assert [e.role for e in found.endpoints] == ["primary", "any"]


@pytest.mark.parametrize("known", [None, target(is_tombstone=True)])
async def test_an_unknown_or_deleted_database_is_not_found(kube: FakeKube, known: Target | None) -> None:
    with pytest.raises(ClientError) as refused:
        await service(kube, known).credentials(DATABASE_ID)
    assert (refused.value.status, refused.value.code) == (404, "not_found")


async def test_before_the_operator_is_done_the_gateway_is_asked_to_wait() -> None:
    empty = service(FakeKube())
    for call in (empty.credentials, empty.connection):
        with pytest.raises(ClientError) as waiting:
            await call(DATABASE_ID)
        assert (waiting.value.status, waiting.value.code) == (503, "not_provisioned_yet")
        assert waiting.value.headers == {"Retry-After": "1"}


async def test_half_a_secret_is_not_handed_out(kube: FakeKube) -> None:
    kube.seed(secret("app", username="app"))
    with pytest.raises(ClientError, match="not_provisioned_yet"):
        await service(kube).credentials(DATABASE_ID)


async def test_when_kubernetes_is_down_the_gateway_is_told_so(kube: FakeKube) -> None:
    kube.fail_once(UnavailableError("kubernetes_unavailable", "down"))
    with pytest.raises(DependencyDownError):
        await service(kube).credentials(DATABASE_ID)
