"""Resync: every ten minutes all objects of this installation are compared with what was written (semantics 37).

Only compares, by paged lists; what differs is made due, and the reconcile loop repairs it behind its fences. Also the
sweep, which repairs what no list shows: targets that should be due and are not.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from postern_common.contracts.kubernetes import LABEL_DATABASE_ID
from postern_common.errors import PosternError
from postern_common.kube.paths import CLUSTERS, NAMESPACES, NETWORK_POLICIES, POD_MONITORS, Resource
from postern_common.logging import get_logger
from postern_common.persistence import LeaseStore, UnitOfWorkFactory
from postern_provisioner.domain.drift import drifted_fields
from postern_provisioner.domain.target import Target
from postern_provisioner.manifests.database import ManifestOptions, build_database, build_project
from postern_provisioner.metrics import DRIFT, RESYNC_SECONDS
from postern_provisioner.services.capabilities import Capabilities
from postern_provisioner.services.lease import Lease
from postern_provisioner.services.projects import ProjectService
from postern_provisioner.storage.objects import ObjectStore
from postern_provisioner.storage.targets import TargetStore

INTERVAL_SECONDS = 600.0
SWEEP_SECONDS = 60.0
PAGE = 200
PROJECT_LEASE_SECONDS = 30.0

log = get_logger(__name__)


class SweepService:
    """The sweep: one statement a minute."""

    def __init__(self, targets: TargetStore, wake: Callable[[], None]) -> None:
        self._targets = targets
        self._wake = wake

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                if swept := await self._targets.sweep():
                    log.warning("targets_swept", count=swept)
                    self._wake()
            except PosternError as error:
                log.warning("sweep_failed", code=error.code)


class ResyncService:
    """The periodic comparison; of several provisioners the holder of the lease makes it."""

    def __init__(
        self,
        *,
        objects: ObjectStore,
        targets: TargetStore,
        unit_of_work: UnitOfWorkFactory,
        capabilities: Capabilities,
        projects: ProjectService,
        lease: LeaseStore,
        options: ManifestOptions,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._objects = objects
        self._targets = targets
        self._unit_of_work = unit_of_work
        self._capabilities = capabilities
        self._projects = projects
        self._lease = lease
        self._options = options
        self._interval = interval

    async def run(self) -> None:
        """Resync until cancelled, the first time shortly after the start."""
        await asyncio.sleep(random.uniform(0.02, 0.05) * self._interval)
        while True:
            try:
                if await self._lease.acquire() is not None:
                    await self.resync()
            except PosternError as error:
                log.warning("resync_failed", code=error.code)
            await asyncio.sleep(self._interval * random.uniform(0.9, 1.1))

    async def resync(self) -> int:
        """Compare everything once; returns how many databases were made due. Raises what the dependencies say."""
        started = time.monotonic()
        self._capabilities.refresh()
        with_pod_monitor = await self._capabilities.serves_pod_monitors()
        kinds = [CLUSTERS, NETWORK_POLICIES, *([POD_MONITORS] if with_pod_monitor else [])]
        seen: dict[Resource, set[UUID]] = {kind: set() for kind in kinds}
        project_objects: dict[tuple[str, str], dict[str, Any]] = {}
        due = 0
        for kind in kinds:
            async for page in self._objects.pages(kind):
                due += await self._compare(page, seen[kind], project_objects, with_pod_monitor=with_pod_monitor)
                await asyncio.sleep(0)  # commands go first
        async for page in self._objects.pages(NAMESPACES):
            project_objects.update({("Namespace", item["metadata"]["name"]): item for item in page})
        due += await self._look_for_missing(seen, project_objects)
        RESYNC_SECONDS.set(time.monotonic() - started)
        log.info("resync_ended", due=due, seconds=round(time.monotonic() - started, 3))
        return due

    async def _compare(
        self,
        page: list[dict[str, Any]],
        seen: set[UUID],
        project_objects: dict[tuple[str, str], dict[str, Any]],
        *,
        with_pod_monitor: bool,
    ) -> int:
        by_id: dict[UUID, dict[str, Any]] = {}
        for item in page:
            database_id = _database_id(item)
            if database_id is None:
                project_objects[item["kind"], item["metadata"]["namespace"]] = item
            else:
                by_id[database_id] = item
        seen.update(by_id)
        targets = await self._targets.find_many(list(by_id))
        stale: list[UUID] = []
        for database_id, item in by_id.items():
            target = targets.get(database_id)
            if target is None:
                # Written by a newer past of ours (our database was restored): a person decides, nothing is deleted.
                log.warning("object_without_target_found", kind=item["kind"], object=item["metadata"]["name"])
            elif self._differs(target, item, with_pod_monitor=with_pod_monitor):
                DRIFT.labels(item["kind"]).inc()
                log.warning("drift_found", database_id=str(database_id), kind=item["kind"])
                stale.append(database_id)
        return await self._request(stale)

    def _differs(self, target: Target, item: Mapping[str, Any], *, with_pod_monitor: bool) -> bool:
        if target.is_tombstone:
            return target.removed  # a zombie: made by a provisioner that slept between its check and its create
        if not target.is_applied or target.desired is None:
            return False  # the reconcile loop is at it
        image = (item.get("spec") or {}).get("imageName") if item["kind"] == CLUSTERS.kind else None
        manifests = build_database(target, self._options, running_image=image, with_pod_monitor=with_pod_monitor)
        wanted = next((m for m in manifests.all() if m["kind"] == item["kind"]), None)
        return wanted is not None and bool(drifted_fields(wanted, item, limit=1))

    async def _look_for_missing(
        self, seen: Mapping[Resource, set[UUID]], project_objects: Mapping[tuple[str, str], dict[str, Any]]
    ) -> int:
        """Settled targets without an object of some kind, and projects whose namespace or policy is not what it was.

        A Cluster that no list shows may only have lost its labels: the reconcile loop tells (docs/adr/0017).
        """
        due, after, checked = 0, UUID(int=0), set[str]()
        while page := await self._targets.settled_after(after, limit=PAGE):
            after = page[-1].identity.database_id
            missing = [
                t.identity.database_id for t in page if any(t.identity.database_id not in s for s in seen.values())
            ]
            due += await self._request(missing)
            for target in page:
                if target.identity.namespace not in checked:
                    checked.add(target.identity.namespace)
                    await self._repair_project(target, project_objects)
        return due

    async def _repair_project(self, target: Target, project_objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
        for manifest in build_project(target, self._options):
            found = project_objects.get((manifest["kind"], target.identity.namespace))
            if found is None or drifted_fields(manifest, found, limit=1):
                DRIFT.labels(manifest["kind"]).inc()
                log.warning("drift_found", namespace=target.identity.namespace, kind=manifest["kind"])
                self._projects.forget(target.identity.namespace)
                await self._projects.ensure(target, Lease(PROJECT_LEASE_SECONDS))
                return

    async def _request(self, ids: list[UUID]) -> int:
        if not ids:
            return 0
        async with self._unit_of_work() as work:
            return await self._targets.request_recheck(work.connection, ids)


def _database_id(item: Mapping[str, Any]) -> UUID | None:
    label = (item["metadata"].get("labels") or {}).get(LABEL_DATABASE_ID)
    try:
        return UUID(label) if label else None
    except ValueError:
        return None
