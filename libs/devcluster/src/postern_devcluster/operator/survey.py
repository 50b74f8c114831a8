"""Puts together the view that a decision rests on, from objects, servers and memory. Reads, never writes."""

from postern_common.contracts.kubernetes import ANNOTATION_RESTARTED_AT, CONDITION_HIBERNATION
from postern_devcluster.operator.attendant import Attendant
from postern_devcluster.operator.domain.counts import grows
from postern_devcluster.operator.domain.manifests import ANNOTATION_CLAIM_STATUS
from postern_devcluster.operator.domain.phases import condition_of
from postern_devcluster.operator.domain.pods import pod_image, same_resources
from postern_devcluster.operator.domain.quantities import parse_quantity
from postern_devcluster.operator.domain.view import ClusterView, InstanceView
from postern_devcluster.operator.runtime import Instance
from postern_devcluster.operator.scene import Scene

_ABSENT = Instance("", "")


async def survey(scene: Scene, attendant: Attendant) -> ClusterView:
    """Return the view of a cluster as it is now."""
    spec, status = scene.spec, scene.status
    small = tuple(name for name, claim in sorted(scene.claims.items()) if _too_small(scene, name) or grows(claim))
    refused = bool(small) and not await scene.surroundings.expandable(spec.storage_class)
    hibernation = condition_of(status, CONDITION_HIBERNATION)
    return ClusterView(
        spec=spec,
        instances={name: _instance(scene, attendant, name) for name in sorted(scene.claims)},
        phase=status.get("phase", ""),
        phase_reason=status.get("phaseReason"),
        current_primary=status.get("currentPrimary"),
        target_primary=status.get("targetPrimary"),
        hibernation=None if hibernation is None else str(hibernation.get("reason", "")),
        growth_refused=refused,
        claims_to_grow=() if refused else small,
        upgrade_asked=spec.major != spec.settings.major,
        jobs=bool(scene.jobs),
    )


def _instance(scene: Scene, attendant: Attendant, name: str) -> InstanceView:
    spec = scene.spec
    pod = scene.pods.get(name)
    server = attendant.runtime.instances.get(name, _ABSENT)
    claim_annotations = scene.claims[name]["metadata"].get("annotations") or {}
    pod_annotations = (pod or {"metadata": {}})["metadata"].get("annotations") or {}
    return InstanceView(
        name=name,
        claim_ready=claim_annotations.get(ANNOTATION_CLAIM_STATUS) == "ready",
        pod=pod is not None,
        pod_restarted_at=pod_annotations.get(ANNOTATION_RESTARTED_AT),
        pod_matches=pod is None or same_resources(pod, spec),
        pod_image="" if pod is None else pod_image(pod),
        has_data=server.has_data,
        running=server.running,
        ready=server.ready,
        standby=server.standby,
        digest=server.digest,
        pending_restart=server.pending_restart,
        shrinks=server.shrinks,
        faulty=server.faulty,
        backing_off=attendant.backing_off(name, spec.settings.digest),
    )


def _too_small(scene: Scene, name: str) -> bool:
    asked = scene.claims[name]["spec"]["resources"]["requests"]["storage"]
    return parse_quantity(asked) < parse_quantity(scene.spec.storage_size)
