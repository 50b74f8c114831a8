"""One pass over one cluster: its objects as read at the start, and every write to them.

Everything written is kept here too, so that a step sees its own effects without reading again. The status is written
under optimistic concurrency and only when it differs; a switchover that somebody asks for meanwhile is never lost.
"""

import copy
from collections.abc import Callable
from typing import Any

from postern_common.errors import TransientError
from postern_common.kube.errors import ConflictError, NotFoundError
from postern_common.kube.paths import CLUSTERS, PERSISTENT_VOLUME_CLAIMS, PODS
from postern_devcluster.operator.clock import now_micros, now_seconds
from postern_devcluster.operator.domain import phases
from postern_devcluster.operator.domain.counts import set_counts
from postern_devcluster.operator.domain.manifests import ANNOTATION_CLAIM_STATUS, LABEL_ROLE
from postern_devcluster.operator.domain.pods import (
    ContainerState,
    build_pod,
    restart_count,
    scheduled_status,
)
from postern_devcluster.operator.domain.spec import ClusterSpec
from postern_devcluster.operator.objects import Object, ObjectStore
from postern_devcluster.operator.runtime import ClusterRuntime
from postern_devcluster.operator.surroundings import Surroundings

_WRITE_ATTEMPTS = 8


class ClusterGoneError(TransientError):
    """The Cluster was deleted, or made again, in the middle of a pass."""


class Scene:  # wider than most: it is the one vocabulary in which every step speaks of status, pods and claims
    """Objects and runtime of one cluster during one pass."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        cluster: Object,
        spec: ClusterSpec,
        runtime: ClusterRuntime,
        pods: dict[str, Object],
        claims: dict[str, Object],
        jobs: list[str],
        surroundings: Surroundings,
        route: Callable[["Scene"], Any],
    ) -> None:
        self.store = store
        self.cluster = cluster
        self.spec = spec
        self.runtime = runtime
        self.pods = pods
        """Pods of instances by name, without those that are being deleted."""
        self.claims = claims
        self.jobs = jobs
        """Names of pods of Jobs, finished or not."""
        self.surroundings = surroundings
        self._route = route

    @property
    def status(self) -> Object:
        """Status of the Cluster as last read or written."""
        return self.cluster.get("status") or {}

    @property
    def primary(self) -> str | None:
        """Name of the current primary."""
        name = self.status.get("currentPrimary")
        return None if name is None else str(name)

    async def update(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the status; ``change`` may run again on a newer one. Raises ClusterGoneError."""
        for _ in range(_WRITE_ATTEMPTS):
            status = copy.deepcopy(self.status)
            change(status)
            if status == self.status:
                return
            try:
                self.cluster = await self.store.put_status(CLUSTERS, {**self.cluster, "status": status})
            except NotFoundError as error:
                raise ClusterGoneError("cluster_gone", self.spec.name) from error
            except ConflictError:
                await self._read_again()
            else:
                return
        raise TransientError("status_contended", f"status of {self.spec.name} was written by others all the time")

    async def phase(self, phase: str, reason: str | None = None) -> None:
        """Set phase and reason."""
        await self.update(lambda status: phases.set_phase(status, phase, reason, now=now_seconds()))

    async def count(self) -> None:
        """Bring counts, lists, roles' endpoints and the system identity up to date."""
        await self._route(self)
        await self.update(self._set_counts)

    async def count_with(self, **fields: Any) -> None:
        """Set plain fields together with the counts."""
        await self._route(self)

        def change(status: dict[str, Any]) -> None:
            status.update(fields)
            self._set_counts(status)

        await self.update(change)

    async def target(self, name: str) -> None:
        """Set the target primary."""
        await self.update(lambda status: status.update(targetPrimary=name, targetPrimaryTimestamp=now_micros()))

    async def event(self, reason: str, message: str, *, kind: str = "Normal", about: Object | None = None) -> None:
        """Record an Event about the Cluster, or about another object of it."""
        await self.store.record_event(about or self.cluster, kind, reason, message)

    async def make_pod(self, name: str) -> None:
        """Create the pod of an instance, as handled restart and current resources say."""
        server = self.runtime.instances.get(name)
        role = None if self.primary is None else ("primary" if name == self.primary else "replica")
        manifest = build_pod(self.spec, name, role=role, log_file=server.log_file if server else None)
        self.pods[name] = await self.store.ensure(PODS, manifest)

    async def show(self, name: str, state: ContainerState) -> None:
        """Write the state of an instance's container to its pod; a pod that vanished is made again by the next pass."""
        pod = self.pods.get(name)
        if pod is None:
            return
        server = self.runtime.instances.get(name)
        status = scheduled_status(pod, state, address=server.address if server else None, now=now_seconds())
        written = await self.show_status(pod, status)
        if written is None:
            self.pods.pop(name, None)
        else:
            self.pods[name] = written

    async def show_running(self, name: str, *, ready: bool, restarted: bool = False) -> None:
        """Write that an instance's container runs."""
        pod = self.pods.get(name)
        count = 0 if pod is None else restart_count(pod)
        last = "Completed" if count or restarted else None
        await self.show(name, ContainerState("running", ready=ready, restarts=count + restarted, last_reason=last))

    async def show_status(self, pod: Object, status: Object) -> Object | None:
        """Write a pod's status; None when the pod is gone."""
        described = pod["metadata"]
        patch = {"status": {**status, "reason": None}}
        return await self.store.patch(PODS, described["name"], described["namespace"], patch, subresource="status")

    async def drop_pod(self, name: str) -> None:
        """Delete the pod of an instance at once."""
        self.pods.pop(name, None)
        await self.store.delete(PODS, name, self.spec.namespace)

    async def label_roles(self) -> None:
        """Label pods and claims with the role their instance has now."""
        for name in sorted(self.claims):
            role = "primary" if name == self.primary else "replica"
            for resource, known in ((PODS, self.pods), (PERSISTENT_VOLUME_CLAIMS, self.claims)):
                item = known.get(name)
                if item is not None and item["metadata"].get("labels", {}).get(LABEL_ROLE) != role:
                    change = {"metadata": {"labels": {LABEL_ROLE: role, "role": role}}}
                    written = await self.store.patch(resource, name, self.spec.namespace, change)
                    if written is not None:
                        known[name] = written

    async def finish_claim(self, name: str) -> None:
        """Mark the claim of an instance as holding complete data."""
        change = {"metadata": {"annotations": {ANNOTATION_CLAIM_STATUS: "ready"}}}
        written = await self.store.patch(PERSISTENT_VOLUME_CLAIMS, name, self.spec.namespace, change)
        if written is not None:
            self.claims[name] = written

    def _set_counts(self, status: dict[str, Any]) -> None:
        set_counts(status, claims=self.claims, pods=self.pods, servers=self.runtime.instances, now=now_seconds())

    async def _read_again(self) -> None:
        found = await self.store.get(CLUSTERS, self.spec.name, self.spec.namespace)
        if found is None or found["metadata"]["uid"] != self.spec.identity.uid:
            raise ClusterGoneError("cluster_gone", self.spec.name)
        self.cluster = found
