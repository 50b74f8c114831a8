"""What the Kubernetes cluster offers and allows: optional kinds, and the definitions and rights that we need."""

import asyncio
import time

from postern_common.contracts.reasons import Reason
from postern_common.errors import TransientError
from postern_common.kube.paths import (
    CLUSTERS,
    NAMESPACES,
    NETWORK_POLICIES,
    POD_MONITORS,
    SECRETS,
    SERVICES,
    STORAGE_CLASSES,
    Resource,
)
from postern_provisioner.storage.objects import ClusterFacts

REFRESH_SECONDS = 600.0
RIGHTS_SECONDS = 60.0

_WRITES = ("get", "list", "create", "patch", "delete")
REQUIRED_RIGHTS: tuple[tuple[str, Resource, str], ...] = (
    *((verb, CLUSTERS, "") for verb in _WRITES),
    *((verb, NETWORK_POLICIES, "") for verb in _WRITES),
    *((verb, NAMESPACES, "") for verb in ("get", "list", "create", "patch")),
    ("patch", CLUSTERS, "status"),
    ("get", SERVICES, ""),
    ("get", SECRETS, ""),
    ("get", STORAGE_CLASSES, ""),
)
"""Every right that the code uses; the ClusterRole is compared with it."""


class Capabilities:
    """Answers from the API server's discovery, kept for ten minutes."""

    def __init__(self, facts: ClusterFacts) -> None:
        self._facts = facts
        self._pod_monitors: bool | None = None
        self._known_until = 0.0
        self._rights_until = 0.0

    async def serves_pod_monitors(self) -> bool:
        """Whether PodMonitors can be written."""
        if self._pod_monitors is None or time.monotonic() >= self._known_until:
            self._pod_monitors = await self._facts.serves(POD_MONITORS)
            self._known_until = time.monotonic() + REFRESH_SECONDS
        return self._pod_monitors

    def refresh(self) -> None:
        """Ask again at the next use."""
        self._known_until = 0.0

    async def check(self) -> None:
        """Readiness: Kubernetes answers, serves CloudNativePG and allows what we do. Else ``TransientError``."""
        if not await self._facts.serves(CLUSTERS):
            raise TransientError(
                Reason.CRD_MISSING,
                f"CloudNativePG is not installed in this cluster: it does not serve {CLUSTERS.plural}.{CLUSTERS.group}",
            )
        if time.monotonic() < self._rights_until:
            return
        answers = await asyncio.gather(
            *(self._facts.may(verb, resource, subresource=sub) for verb, resource, sub in REQUIRED_RIGHTS)
        )
        missing = [
            f"{verb} {resource.plural}{'/' + sub if sub else ''}"
            for (verb, resource, sub), allowed in zip(REQUIRED_RIGHTS, answers, strict=True)
            if not allowed
        ]
        if missing:
            raise TransientError(
                Reason.KUBERNETES_FORBIDDEN, f"our account in Kubernetes may not: {', '.join(missing)}"
            )
        self._rights_until = time.monotonic() + RIGHTS_SECONDS
