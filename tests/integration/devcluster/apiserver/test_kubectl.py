"""kubectl against the API server, as a person uses it."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from postern_devcluster.apiserver import ApiServer

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: acme}
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg1, namespace: acme}
spec:
  instances: 2
  storage: {size: 1Gi}
---
apiVersion: v1
kind: Pod
metadata: {name: pg1-1, namespace: acme, labels: {cnpg.io/cluster: pg1}}
spec: {containers: [{name: postgres, image: "postgresql:17"}]}
---
apiVersion: v1
kind: Secret
metadata: {name: pg1-app, namespace: acme}
stringData: {password: secret}
---
apiVersion: v1
kind: Service
metadata: {name: pg1-rw, namespace: acme}
spec: {ports: [{port: 5432}], selector: {cnpg.io/cluster: pg1}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pg1-1, namespace: acme}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with the server's kubeconfig."""

    directory: Path
    environment: dict[str, str]

    async def start(self, line: str, *more: str) -> asyncio.subprocess.Process:
        pipe, merged = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        command = ("kubectl", *line.split(), *more)
        return await asyncio.create_subprocess_exec(
            *command, env=self.environment, cwd=self.directory, stdout=pipe, stderr=merged
        )

    async def __call__(self, line: str, *more: str, fails: bool = False) -> str:
        process = await self.start(line, *more)
        async with asyncio.timeout(20):
            output, _ = await process.communicate()
        assert (process.returncode != 0) is fails, output.decode()
        return output.decode()


@pytest.fixture
async def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    (tmp_path / "manifest.yaml").write_text(MANIFEST)
    path = os.environ.get("PATH", os.defpath)
    run = Kubectl(tmp_path, {"KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path), "PATH": path})
    await run("apply --server-side -f manifest.yaml")
    return run


async def test_get_prints_the_tables_people_know(kubectl: Kubectl) -> None:
    status = '{"status":{"instances":2,"readyInstances":2,"phase":"Cluster in healthy state","currentPrimary":"pg1-1"}}'
    await kubectl("patch cluster pg1 -n acme --subresource status --type merge -p", status)
    shown = await kubectl("get clusters,pods,pvc,secrets,svc -A -o wide")
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "NAMESPACE NAME AGE INSTANCES READY STATUS PRIMARY" in lines
    assert any("2 2 Cluster in healthy state pg1-1" in line for line in lines)
    assert any(line.startswith("acme pod/pg1-1 0/1 Pending 0") for line in lines)
    assert any("secret/pg1-app Opaque 1" in line for line in lines)
    assert any("service/pg1-rw ClusterIP 10.96." in line for line in lines)
    assert any("persistentvolumeclaim/pg1-1 Pending" in line for line in lines)


async def test_apply_twice_and_by_both_ways(kubectl: Kubectl) -> None:
    assert "serverside-applied" in await kubectl("apply --server-side -f manifest.yaml")
    assert "cluster.postgresql.cnpg.io/pg1 configured" in await kubectl("apply -f manifest.yaml")
    assert "cluster.postgresql.cnpg.io/pg1 unchanged" in await kubectl("apply -f manifest.yaml")


async def test_describe_label_annotate_and_patch(kubectl: Kubectl) -> None:
    for kind in ("cluster/pg1", "pod/pg1-1", "pvc/pg1-1", "svc/pg1-rw", "secret/pg1-app"):
        assert "Name:" in await kubectl(f"describe -n acme {kind}")
    await kubectl("label -n acme cluster pg1 tier=gold")
    await kubectl("annotate -n acme cluster pg1 note=x")
    await kubectl("patch -n acme cluster pg1 --type merge -p", '{"spec":{"instances":3}}')
    await kubectl("patch -n acme cluster pg1 --type json -p", '[{"op":"remove","path":"/metadata/annotations/note"}]')
    await kubectl("patch -n acme svc pg1-rw -p", '{"spec":{"ports":[{"port":5433,"name":"more"}]}}')
    assert "pg1" in await kubectl("get clusters -A -l tier=gold")
    assert await kubectl("get -n acme cluster pg1 -o jsonpath={.spec.instances}") == "3"
    assert "5432/TCP,5433/TCP" in await kubectl("get -n acme svc")


async def test_scale_sets_the_instances(kubectl: Kubectl) -> None:
    assert "scaled" in await kubectl("scale -n acme cluster pg1 --replicas=3")
    assert "scaled" in await kubectl("scale -n acme cluster pg1 --current-replicas=3 --replicas=1")
    assert await kubectl("get -n acme cluster pg1 -o jsonpath={.spec.instances}") == "1"
    assert "greater than or equal to 1" in await kubectl("scale -n acme cluster pg1 --replicas=0", fails=True)


async def test_wait_sees_a_condition_and_a_deletion(kubectl: Kubectl) -> None:
    condition = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    waiting = kubectl("wait -n acme --for=condition=Ready cluster/pg1 --timeout=15s")
    async with asyncio.TaskGroup() as tasks:
        met = tasks.create_task(waiting)
        await kubectl("patch cluster pg1 -n acme --subresource status --type merge -p", condition)
    assert "condition met" in met.result()
    assert "deleted" in await kubectl("delete -n acme cluster pg1 --timeout=10s")
    await kubectl("wait -n acme --for=delete cluster/pg1 --timeout=10s")


async def test_logs_print_the_pods_file(kubectl: Kubectl, tmp_path: Path) -> None:
    log = tmp_path / "pg1-1.log"
    log.write_text("one\ntwo\n")
    await kubectl(f"annotate -n acme pod pg1-1 postern.dev/dev-log-file={log}")
    assert await kubectl("logs -n acme pg1-1 --tail=1") == "two\n"


async def test_a_watch_prints_changes(kubectl: Kubectl) -> None:
    watching = await kubectl.start("get -n acme pods -w --no-headers")
    assert watching.stdout is not None
    async with asyncio.timeout(15):
        assert b"pg1-1" in await watching.stdout.readline()
        await kubectl("label -n acme pod pg1-1 seen=yes")
        assert b"pg1-1" in await watching.stdout.readline()
        watching.terminate()
        await watching.wait()


async def test_create_and_can_i_in_whatever_format_kubectl_sends(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("create namespace other")
    assert "created" in await kubectl("create secret generic -n other s --from-literal=a=b")
    assert await kubectl("get -n other secret s -o jsonpath={.data.a}") == "Yg=="
    assert "yes" in await kubectl("auth can-i list secrets")


async def test_errors_are_readable(kubectl: Kubectl) -> None:
    assert "NotFound" in await kubectl("get cluster none", fails=True)
    refused = await kubectl("patch -n acme cluster pg1 --type merge -p", '{"spec":{"instances":0}}', fails=True)
    assert "should be greater than or equal to 1" in refused
    unknown = await kubectl(
        "patch -n acme cluster pg1 --type merge -p", '{"spec":{"storage":{"size":"1Mi"}}}', fails=True
    )
    assert "storage cannot shrink" in unknown


async def test_a_namespace_is_deleted_with_all_that_is_in_it(kubectl: Kubectl) -> None:
    assert 'namespace "acme" deleted' in await kubectl("delete ns acme --timeout=10s")
    assert "No resources found" in await kubectl("get clusters,pods,secrets,svc,pvc -n acme")
