"""The numbers and lists of a Cluster's status, computed whole each time from its claims, pods and servers. Pure."""

from collections.abc import Mapping
from typing import Any

from postern_devcluster.operator.domain.manifests import ANNOTATION_CLAIM_STATUS
from postern_devcluster.operator.domain.phases import set_condition
from postern_devcluster.operator.domain.quantities import parse_quantity
from postern_devcluster.operator.runtime import Instance

Object = Mapping[str, Any]


def set_counts(
    status: dict[str, Any],
    *,
    claims: Mapping[str, Object],
    pods: Mapping[str, Object],
    servers: Mapping[str, Instance],
    now: str,
) -> None:
    """Set counts, lists and the system identity's condition in place; what would be empty is absent, as in Go."""
    names = sorted(claims)
    states = _instance_states(names, pods, servers)
    ready = states.get("healthy", [])
    done = [name for name in names if _claim_status(claims[name]) == "ready"]
    reporting = {name: servers[name] for name in names if name in servers and servers[name].ready}
    _set(status, "instances", len(names))
    _set(status, "instanceNames", names)
    _set(status, "readyInstances", len(ready))
    _set(status, "instancesStatus", states)
    _set(status, "pvcCount", len(names))
    _set(status, "healthyPVC", [name for name in done if name in pods])
    _set(status, "danglingPVC", [name for name in done if name not in pods])
    _set(status, "initializingPVC", [name for name in names if name not in done])
    _set(status, "resizingPVC", [name for name in names if grows(claims[name])])
    reported = {
        name: {"isPrimary": not each.standby, "timeLineID": status.get("timelineID", each.timeline), "ip": each.address}
        for name, each in reporting.items()
    }
    _set(status, "instancesReportedState", reported)
    primary = servers.get(status.get("currentPrimary", ""))
    if primary is not None and primary.ready and not primary.standby:
        status["timelineID"] = primary.timeline
    system_id = next((each.system_id for each in reporting.values()), None)
    if system_id is not None:
        status["systemID"] = system_id
    if "conditions" in status or system_id is not None:
        reason = "NotFound" if system_id is None else "Unique"
        set_condition(status, "ConsistentSystemID", reason, holds=system_id is not None, now=now)
    topology = {"instances": {name: {} for name in names if name in pods}, "successfullyExtracted": True}
    status["topology"] = topology | {"nodesUsed": 1 if topology["instances"] else 0}


def grows(claim: Object) -> bool:
    """Whether the volume of a claim is smaller than it asks for."""
    capacity = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    if capacity is None:
        return False
    return parse_quantity(capacity) < parse_quantity(claim["spec"]["resources"]["requests"]["storage"])


def _instance_states(
    names: list[str], pods: Mapping[str, Object], servers: Mapping[str, Instance]
) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for name in names:
        if name not in pods:
            continue
        server = servers.get(name)
        state = "failed"
        if server is not None and server.running:
            # CloudNativePG calls a running instance that is not ready yet "replicating", primaries included.
            state = "healthy" if server.ready else "replicating"
        states.setdefault(state, []).append(name)
    return states


def _claim_status(claim: Object) -> str:
    return str((claim["metadata"].get("annotations") or {}).get(ANNOTATION_CLAIM_STATUS, ""))


def _set(status: dict[str, Any], key: str, value: Any) -> None:
    if value:
        status[key] = value
    else:
        status.pop(key, None)
