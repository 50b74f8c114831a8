"""Death at every named point: whatever was half done is finished by the next process, once (fault matrix 6 and 7)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.integration.provisioner.conftest import OPTIONS, Provisioner
from tests.unit.provisioner.commands import apply_command, delete_command, switchover_command

from postern_common.contracts.identifiers import cluster_name, new_id
from postern_common.kube.paths import CLUSTERS, NETWORK_POLICIES, POD_MONITORS
from postern_common.testing.kube import FakeKube
from postern_provisioner.bootstrap import build_parts
from postern_provisioner.domain import crashpoints
from postern_provisioner.domain.crashpoints import CRASHPOINTS

pytestmark = pytest.mark.integration

NAMESPACE = "postern-acme"
DELETE_POINTS = (crashpoints.AFTER_DELETE_ANNOTATIONS, crashpoints.AFTER_DELETE_BEFORE_COMMIT)
MODULES = ("receiving", "reconciling", "applying", "projects", "switching", "removing")


class DiedError(BaseException):
    """Nothing catches it: what would come after a crash point does not happen."""


class Mortal:
    """Provisioners that die at one point; each incarnation is a new process's worth of services."""

    def __init__(self, engine: AsyncEngine, kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
        self._engine = engine
        self._kube = kube
        self._deadly: str | None = None
        self.reached: list[str] = []
        for module in MODULES:
            monkeypatch.setattr(f"postern_provisioner.services.{module}.crashpoint", self._pass)

    def _pass(self, name: str) -> None:
        self.reached.append(name)
        if name == self._deadly:
            self._deadly = None
            raise DiedError(name)

    def incarnate(self) -> Provisioner:
        parts = build_parts(
            engine=self._engine, kube=self._kube, options=OPTIONS, owner="x", namespace_prefix="postern-"
        )
        return Provisioner(parts, self._kube, self._engine)

    async def run(self, work: Callable[[Provisioner], Any], *, die_at: str | None = None) -> bool:
        """One life. True: it died at the point."""
        self._deadly = die_at
        died = False
        provisioner = self.incarnate()
        try:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                loop = group.create_task(provisioner.parts.reconciling.run())
                await work(provisioner)
                loop.cancel()
        except* DiedError:
            died = True
        return died

    async def forget_leases(self) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE provisioner.targets SET lease_until = '-infinity', next_attempt_at = clock_timestamp()"
                    " WHERE next_attempt_at IS NOT NULL"
                )
            )


@pytest.fixture
def mortal(engine: AsyncEngine, kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> Mortal:
    kube.install(POD_MONITORS)
    return Mortal(engine, kube, monkeypatch)


def status(name: str) -> dict[str, Any]:
    return {
        "currentPrimary": f"{name}-1",
        "targetPrimary": f"{name}-1",
        "instancesStatus": {"healthy": [f"{name}-1", f"{name}-2"]},
    }


@pytest.mark.parametrize("point", [p for p in CRASHPOINTS if p not in DELETE_POINTS])
async def test_an_apply_survives_death_at_any_point(mortal: Mortal, kube: FakeKube, point: str) -> None:
    """Generation 1 is applied; generation 2, a switchover, dies at the point and is finished by the next life."""
    database_id = new_id()
    name = cluster_name("orders", database_id)
    first, second = apply_command(database_id, 1), switchover_command(database_id, 2, expected_primary=f"{name}-1")

    async def create(provisioner: Provisioner) -> None:
        await provisioner.handle(first)
        await provisioner.wait_for_events("database.applied")
        cluster = await kube.request("GET", CLUSTERS.object(name, NAMESPACE))
        if "status" not in cluster:
            kube.seed({**cluster, "status": status(name)})

    async def change(provisioner: Provisioner) -> None:
        await provisioner.handle(second)
        await provisioner.wait_for_events("database.applied", 2)

    died = await mortal.run(create, die_at=point)
    await mortal.forget_leases()
    if died:
        assert not await mortal.run(create)
    died = await mortal.run(change, die_at=point) or died
    await mortal.forget_leases()
    assert not await mortal.run(change)

    assert died
    assert point in mortal.reached
    last = mortal.incarnate()
    assert [e.generation for e in await last.events("database.applied")] == [1, 2]
    for resource in (CLUSTERS, NETWORK_POLICIES, POD_MONITORS):
        found = await kube.request("GET", resource.object(name, NAMESPACE))
        assert found["metadata"]["annotations"]["postern.dev/generation"] == "2"
    assert len((await kube.request("GET", CLUSTERS.collection()))["items"]) == 1
    assert (await kube.request("GET", CLUSTERS.object(name, NAMESPACE)))["status"]["targetPrimary"] == f"{name}-2"


@pytest.mark.parametrize("point", DELETE_POINTS)
async def test_a_delete_survives_death_at_any_point(mortal: Mortal, kube: FakeKube, point: str) -> None:
    database_id = new_id()
    event = delete_command(database_id, 2)

    async def create(provisioner: Provisioner) -> None:
        await provisioner.handle(apply_command(database_id, 1))
        await provisioner.wait_for_events("database.applied")

    async def delete(provisioner: Provisioner) -> None:
        await provisioner.handle(event)
        await provisioner.wait_for_events("database.removed")

    assert not await mortal.run(create)
    assert await mortal.run(delete, die_at=point)
    await mortal.forget_leases()
    assert not await mortal.run(delete)

    (removed,) = await mortal.incarnate().events("database.removed")
    assert removed.existed
    for resource in (CLUSTERS, NETWORK_POLICIES, POD_MONITORS):
        query = {"labelSelector": f"postern.dev/database-id={database_id}"}
        assert (await kube.request("GET", resource.collection(), query=query))["items"] == []


async def uninterrupted(wake: asyncio.Event) -> None:
    """A stopped process does not notice its timeouts until it goes on."""
    while not wake.is_set():
        try:
            await wake.wait()
        except asyncio.CancelledError:
            continue


async def test_a_provisioner_that_slept_through_its_lease_writes_nothing(engine: AsyncEngine, kube: FakeKube) -> None:
    """Fault matrix 8: another one has applied a newer generation meanwhile."""
    database_id = new_id()
    name = cluster_name("orders", database_id)
    sleeper = Provisioner(
        build_parts(
            engine=engine, kube=kube, options=OPTIONS, owner="a", namespace_prefix="postern-", lease_seconds=2.3
        ),
        kube,
        engine,
    )
    asleep, wake = asyncio.Event(), asyncio.Event()
    original = kube.request

    async def sleep_before_the_cluster(method: str, path: str, **options: Any) -> Any:
        try:
            return await original(method, path, **options)
        finally:
            if method == "GET" and path == CLUSTERS.object(name, NAMESPACE) and not asleep.is_set():
                asleep.set()
                await uninterrupted(wake)

    kube.request = sleep_before_the_cluster  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(sleeper.parts.reconciling.run())
        await sleeper.handle(apply_command(database_id, 1, instances=1))
        async with asyncio.timeout(5):
            await asleep.wait()
        other = build_parts(engine=engine, kube=kube, options=OPTIONS, owner="b", namespace_prefix="postern-")
        second = group.create_task(other.reconciling.run())
        await sleeper.handle(apply_command(database_id, 2, instances=3))
        (applied,) = await sleeper.wait_for_events("database.applied")
        wake.set()
        await asyncio.sleep(0.1)
        loop.cancel()
        second.cancel()

    assert applied.generation == 2
    assert (await original("GET", CLUSTERS.object(name, NAMESPACE)))["spec"]["instances"] == 3
    assert [e.generation for e in await sleeper.events("database.applied")] == [2]
