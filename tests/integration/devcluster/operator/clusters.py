"""A development cluster as a process of its own, and Clusters on it in the words of a test."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
from tests.support import polling

from postern_common.kube.client import KubeClient
from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import CLUSTERS, PERSISTENT_VOLUME_CLAIMS, PODS, SECRETS, SERVICES
from postern_devcluster.operator.postgres.binaries import find_installations

Object = dict[str, Any]
HEALTHY = "Cluster in healthy state"
SECONDS = 60.0
"""Deadline of every wait: says only when to give up on a machine that has much else to do."""
_SERVE = "from postern_devcluster.main import main; main()"


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout: float = SECONDS, every: float = 0.05
) -> None:
    """Wait for a condition with this folder's deadline."""
    await polling.eventually(condition, timeout=timeout, every=every)


def newest_major() -> int:
    """The newest PostgreSQL that this machine can run."""
    return max(find_installations().majors)


class DevelopmentCluster:
    """``postern-devcluster serve`` with a state directory that PostgreSQL's account can enter."""

    def __init__(self, *arguments: str, state_dir: Path | None = None) -> None:
        self.arguments = arguments
        self.state_dir = state_dir or Path(tempfile.mkdtemp(prefix="postern-operator-"))
        self.state_dir.mkdir(mode=0o755, exist_ok=True)
        self.state_dir.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.state_dir / "serve.log"

    @property
    def kubeconfig(self) -> Path:
        return Path((self.state_dir / "ready").read_text().strip())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        ready = self.state_dir / "ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-c", _SERVE, "serve", "--state-dir", str(self.state_dir)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--ready-file", str(ready), *self.arguments], stdout=log, stderr=log
            )
        deadline = time.monotonic() + SECONDS
        while not ready.exists():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=SECONDS)
            self._process = None

    def servers(self) -> list[int]:
        """Pids of every postmaster of this development cluster; a child that was forked just now looks like one."""
        root = str((self.state_dir / "postgres").resolve()).encode()
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    if words[0].endswith(b"/postgres") and any(word.startswith(root) for word in words):
                        stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                        parents[int(entry.name)] = int(stat[1])
        return sorted(pid for pid, parent in parents.items() if parent not in parents)

    def log(self) -> str:
        return self._log.read_text()

    def remove(self) -> None:
        """Stop, and leave nothing on the machine even where a test went wrong; servers that outlived it are a fault."""
        self.stop()
        outlived = self.servers()
        for pid in outlived:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.state_dir, ignore_errors=True)
        assert outlived == [], "PostgreSQL processes outlived the operator"


@contextlib.contextmanager
def running(*arguments: str, state_dir: Path | None = None) -> Iterator[DevelopmentCluster]:
    cluster = DevelopmentCluster(*arguments, state_dir=state_dir)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


class Workbench:
    """A client with a namespace of its own."""

    def __init__(self, development: DevelopmentCluster, client: KubeClient, namespace: str) -> None:
        self.development = development
        self.client = client
        self.namespace = namespace

    async def create(self, name: str = "pg", *, instances: int = 1, **spec: Any) -> "Database":
        body = {
            "instances": instances,
            "imageName": f"ghcr.io/cloudnative-pg/postgresql:{newest_major()}.1-system-trixie",
            "storage": {"size": "1Gi", "storageClass": "standard"},
            "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "256Mi"}},
            **spec,
        }
        manifest = {
            "apiVersion": CLUSTERS.api_version,
            "kind": "Cluster",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": body,
        }
        await self.client.request("POST", CLUSTERS.collection(self.namespace), body=manifest)
        return Database(self, name)

    async def items(self, resource: Any) -> dict[str, Object]:
        answer = await self.client.request("GET", resource.collection(self.namespace))
        return {item["metadata"]["name"]: item for item in answer["items"]}


class Database:
    """One Cluster under test."""

    def __init__(self, bench: Workbench, name: str) -> None:
        self.bench = bench
        self.name = name
        self._path = CLUSTERS.object(name, bench.namespace)

    async def read(self) -> Object:
        found: Object = await self.bench.client.request("GET", self._path)
        return found

    async def patch(self, change: Object, *, status: bool = False) -> None:
        path = f"{self._path}/status" if status else self._path
        await self.bench.client.request("PATCH", path, body=change, content_type="application/merge-patch+json")

    async def annotate(self, **annotations: str | None) -> None:
        names = {"hibernation": "cnpg.io/hibernation", "restarted": "kubectl.kubernetes.io/restartedAt"}
        names |= {"validation": "cnpg.io/validation"}
        await self.patch({"metadata": {"annotations": {names[k]: v for k, v in annotations.items()}}})

    async def delete(self) -> None:
        await self.bench.client.request("DELETE", self._path)

    async def until(self, condition: Callable[[Object], bool], *, timeout: float = SECONDS) -> Object:
        """Wait for a status; returns it."""
        status: Object = {}

        async def holds() -> bool:
            nonlocal status
            status = (await self.read()).get("status") or {}
            return condition(status)

        try:
            await eventually(holds, timeout=timeout, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{json.dumps(status)}\n{self.bench.development.log()[-3000:]}") from error
        return status

    async def healthy(self, instances: int = 1) -> Object:
        """Wait until the cluster is what its spec asks for."""
        return await self.until(lambda status: is_healthy(status, instances))

    async def pods(self) -> dict[str, Object]:
        pods = await self.bench.items(PODS)
        return {n: p for n, p in pods.items() if p["metadata"]["labels"].get("cnpg.io/cluster") == self.name}

    async def claims(self) -> dict[str, Object]:
        return await self.bench.items(PERSISTENT_VOLUME_CLAIMS)

    async def secret(self, suffix: str) -> dict[str, str]:
        path = SECRETS.object(f"{self.name}-{suffix}", self.bench.namespace)
        found = await self.bench.client.request("GET", path)
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    async def address(self, service: str = "rw") -> tuple[str, int]:
        path = SERVICES.object(f"{self.name}-{service}", self.bench.namespace)
        found = await self.bench.client.request("GET", path)
        host, port = found["metadata"]["annotations"]["postern.dev/dev-address"].rsplit(":", 1)
        return host, int(port)

    def postmaster(self, instance: str) -> int:
        """Pid of the PostgreSQL server of an instance."""
        (file,) = (self.bench.development.state_dir / "postgres/clusters").glob(f"*/{instance}/pgdata/postmaster.pid")
        return int(file.read_text().split("\n", 1)[0])

    @contextlib.asynccontextmanager
    async def connection(self, service: str = "rw", **options: Any) -> AsyncIterator[asyncpg.Connection]:
        """A connection as the application, with the credentials of its secret and TLS."""
        secret = await self.secret("app")
        host, port = await self.address(service)
        settings = {"ssl": "require", "password": secret["password"], **options}
        connection = await asyncpg.connect(
            host=host, port=port, user=secret["username"], database=secret["dbname"], timeout=20, **settings
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=20)

    @contextlib.asynccontextmanager
    async def history(self) -> AsyncIterator["History"]:
        """Everything that its status shows, from now on, in order."""
        seen = History()
        query = {"watch": "true", "fieldSelector": f"metadata.name={self.name}"}

        async def follow() -> None:
            path = CLUSTERS.collection(self.bench.namespace)
            async with self.bench.client.stream(path, query=query, read_timeout=120) as lines:
                async for line in lines:
                    seen.add(json.loads(line)["object"].get("status") or {})

        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(follow())
            await eventually(lambda: seen.begun)
            yield seen
            last = (await self.read()).get("status") or {}
            await eventually(lambda: seen.statuses[-1] == last)
            watch.cancel()


class History:
    """Statuses of one Cluster."""

    def __init__(self) -> None:
        self.statuses: list[Object] = []

    @property
    def begun(self) -> bool:
        return bool(self.statuses)

    def add(self, status: Object) -> None:
        self.statuses.append(status)

    def phases(self) -> list[str]:
        """Phases in their order, each once as long as it lasted."""
        return compressed([status.get("phase", "") for status in self.statuses])

    def values(self, key: str) -> list[Any]:
        return compressed([status.get(key) for status in self.statuses])

    def condition(self, kind: str) -> list[str | None]:
        return compressed([condition(status, kind) for status in self.statuses])


def compressed(values: list[Any]) -> list[Any]:
    return [value for index, value in enumerate(values) if index == 0 or values[index - 1] != value]


def condition(status: Object, kind: str) -> str | None:
    found = [each for each in status.get("conditions", ()) if each["type"] == kind]
    return f"{found[0]['status']}:{found[0]['reason']}" if found else None


def is_healthy(status: Object, instances: int) -> bool:
    return (
        status.get("phase") == HEALTHY
        and status.get("readyInstances") == instances
        and status.get("instances") == instances
        and status.get("currentPrimary") == status.get("targetPrimary")
        and "phaseReason" not in status
    )


async def gone(client: KubeClient, path: str) -> bool:
    try:
        await client.request("GET", path)
    except NotFoundError:
        return True
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def container_states(pods: dict[str, Object]) -> list[Object]:
    """State of the container of each pod that has one."""
    statuses = [pod.get("status", {}).get("containerStatuses", []) for pod in pods.values()]
    return [each["state"] for found in statuses for each in found]
