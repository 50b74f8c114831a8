"""Kubernetes objects as JSON, reduced to facts while they are decoded: members that nobody reads are skipped unparsed.

Everything here is untrusted input: absent and null members are normal, texts are cut where they are stored.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from postern_common.contracts.kubernetes import (
    ANNOTATION_GENERATION,
    ANNOTATION_GOAL,
    ANNOTATION_HIBERNATION,
    ANNOTATION_OPERATION_ID,
    ANNOTATION_RELOADED_AT,
    ANNOTATION_RESTARTED_AT,
    ANNOTATION_TRACEPARENT,
    CONDITION_HIBERNATION,
    FIELD_MANAGER,
    LABEL_CNPG_CLUSTER,
    LABEL_DATABASE,
    LABEL_DATABASE_ID,
    LABEL_PROJECT,
    LABEL_PROJECT_ID,
)
from postern_watcher.domain.facts import ClusterFacts, ContainerFacts, PodFacts, VolumeFacts, WarningFacts

MAX_TEXT = 300
_NORMAL_WAITS = frozenset({"PodInitializing", "ContainerCreating"})


class _Managed(msgspec.Struct, rename="camel"):
    manager: str = ""
    subresource: str = ""
    time: str = ""
    fields: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="fieldsV1")


class _Owner(msgspec.Struct):
    kind: str = ""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    managed_fields: list[_Managed] | None = None
    owner_references: list[_Owner] | None = None


class _Resources(msgspec.Struct):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class _Storage(msgspec.Struct):
    size: str | int | None = None


class _ClusterSpec(msgspec.Struct, rename="camel"):
    instances: int = 1
    image_name: str | None = None
    storage: _Storage | None = None
    resources: _Resources | None = None
    postgresql: msgspec.Raw = msgspec.Raw(b"")


class _InstancesStatus(msgspec.Struct):
    healthy: list[str] | None = None


class _ImageInfo(msgspec.Struct, rename="camel"):
    major_version: int | None = None


class _ClusterStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    phase_reason: str = ""
    instances: int = 0
    ready_instances: int = 0
    instances_status: _InstancesStatus | None = None
    current_primary: str | None = None
    target_primary: str | None = None
    image: str | None = None
    pg_data_image_info: _ImageInfo | None = None
    resizing: list[str] | None = msgspec.field(default=None, name="resizingPVC")
    conditions: list[_Condition] | None = None


class _Cluster(msgspec.Struct):
    metadata: _Meta
    spec: _ClusterSpec = msgspec.field(default_factory=_ClusterSpec)
    status: _ClusterStatus | None = None


class _Container(msgspec.Struct):
    name: str = ""
    image: str | None = None
    resources: _Resources | None = None


class _PodSpec(msgspec.Struct):
    containers: list[_Container] | None = None


class _Happening(msgspec.Struct, rename="camel"):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class _ContainerState(msgspec.Struct):
    waiting: _Happening | None = None
    terminated: _Happening | None = None


class _ContainerStatus(msgspec.Struct, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: _ContainerState | None = None
    last_state: _ContainerState | None = None


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[_Condition] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _VolumeSpec(msgspec.Struct, rename="camel"):
    resources: _Resources | None = None
    storage_class_name: str | None = None


class _VolumeStatus(msgspec.Struct):
    phase: str = ""
    capacity: dict[str, str | int | float] | None = None


class _Volume(msgspec.Struct):
    metadata: _Meta
    spec: _VolumeSpec = msgspec.field(default_factory=_VolumeSpec)
    status: _VolumeStatus = msgspec.field(default_factory=_VolumeStatus)


class _Involved(msgspec.Struct):
    kind: str = ""
    name: str = ""
    namespace: str = ""


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    metadata: _Meta
    involved_object: _Involved = msgspec.field(default_factory=_Involved)
    type: str = ""
    reason: str = ""
    message: str = ""
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None


class Owned(msgspec.Struct, frozen=True):
    """Facts of an object and the cluster (by namespace and name) that it belongs to."""

    namespace: str
    cluster: str
    facts: PodFacts | VolumeFacts


class Warned(msgspec.Struct, frozen=True):
    """A Warning event and where it happened; which cluster that is, the name of the object tells."""

    namespace: str
    facts: WarningFacts


_CLUSTER = msgspec.json.Decoder(_Cluster)
_POD = msgspec.json.Decoder(_Pod)
_VOLUME = msgspec.json.Decoder(_Volume)
_EVENT = msgspec.json.Decoder(_Event)


def decode_cluster(raw: msgspec.Raw | bytes) -> ClusterFacts:
    """Facts of a Cluster."""
    item = _CLUSTER.decode(raw)
    meta, spec, status = item.metadata, item.spec, item.status or _ClusterStatus()
    labels, annotations = meta.labels or {}, meta.annotations or {}
    is_ours = _is_generation_ours(meta.managed_fields or (), annotations)
    return ClusterFacts(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        spec_generation=meta.generation,
        deleting=meta.deletion_timestamp is not None,
        editor=_newest_editor(meta.managed_fields or (), labels, annotations),
        project=labels.get(LABEL_PROJECT, ""),
        project_id=labels.get(LABEL_PROJECT_ID, ""),
        database=labels.get(LABEL_DATABASE, ""),
        database_id=labels.get(LABEL_DATABASE_ID, ""),
        generation=_integer(annotations.get(ANNOTATION_GENERATION)),
        generation_is_ours=is_ours,
        operation_id=annotations.get(ANNOTATION_OPERATION_ID),
        goal=annotations.get(ANNOTATION_GOAL),
        traceparent=annotations.get(ANNOTATION_TRACEPARENT),
        hibernation=annotations.get(ANNOTATION_HIBERNATION),
        restarted_at=annotations.get(ANNOTATION_RESTARTED_AT),
        marks=_digest(
            *(annotations.get(name, "") for name in _ACTIONS),
            *(labels.get(name, "") for name in _IDENTITY),
            *([annotations.get(ANNOTATION_GENERATION, "")] if is_ours is False else []),
        ),
        instances=spec.instances,
        image=spec.image_name,
        storage=_text(spec.storage.size) if spec.storage and spec.storage.size is not None else None,
        resources=_flat(spec.resources),
        hidden=_digest(bytes(spec.postgresql).decode(errors="replace"), annotations.get(ANNOTATION_RELOADED_AT, "")),
        **_status_facts(status),
    )


_GENERATION_FIELD = f'"f:{ANNOTATION_GENERATION}"'.encode()


def _is_generation_ours(entries: list[_Managed] | tuple[()], annotations: Mapping[str, str]) -> bool | None:
    """Whether we wrote the generation; one that is missing was taken away by somebody else."""
    if ANNOTATION_GENERATION not in annotations:
        return False
    owners = {entry.manager for entry in entries if _GENERATION_FIELD in bytes(entry.fields)}
    return FIELD_MANAGER in owners if owners else None


_IDENTITY = (LABEL_PROJECT, LABEL_PROJECT_ID, LABEL_DATABASE, LABEL_DATABASE_ID)
_ACTIONS = (ANNOTATION_HIBERNATION, ANNOTATION_RESTARTED_AT, ANNOTATION_RELOADED_AT)


def _newest_editor(
    entries: list[_Managed] | tuple[()], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> str | None:
    """Who wrote last. Nobody known where that seems to be us, but what each of our writes holds is not there.

    Who takes a field away leaves no trace among the managers.
    """
    editor = _editor(entries)
    return None if editor == FIELD_MANAGER and not _is_whole(labels, annotations) else editor


def _is_whole(labels: Mapping[str, str], annotations: Mapping[str, str]) -> bool:
    ours = (ANNOTATION_HIBERNATION, ANNOTATION_GENERATION)
    return all(name in annotations for name in ours) and all(label in labels for label in _IDENTITY)


def _status_facts(status: _ClusterStatus) -> dict[str, Any]:
    sleeping = next((c.status == "True" for c in status.conditions or () if c.type == CONDITION_HIBERNATION), None)
    return {
        "phase": status.phase[:MAX_TEXT],
        "phase_reason": status.phase_reason[:MAX_TEXT],
        "status_instances": status.instances,
        "ready_instances": status.ready_instances,
        "healthy": tuple((status.instances_status.healthy if status.instances_status else None) or ()),
        "current_primary": status.current_primary,
        "target_primary": status.target_primary,
        "status_image": status.image,
        "major": status.pg_data_image_info.major_version if status.pg_data_image_info else None,
        "resizing": bool(status.resizing),
        "hibernated": sleeping,
    }


def decode_pod(raw: msgspec.Raw | bytes) -> Owned:
    """Facts of a pod that carries the label ``cnpg.io/cluster``."""
    item = _POD.decode(raw)
    meta, labels = item.metadata, item.metadata.labels or {}
    conditions = {condition.type: condition for condition in item.status.conditions or ()}
    scheduled = conditions.get("PodScheduled")
    lost = scheduled if scheduled is not None and scheduled.status == "False" else None
    postgres = next((c for c in item.spec.containers or () if c.name == "postgres"), _Container())
    statuses = [*(item.status.init_container_statuses or ()), *(item.status.container_statuses or ())]
    facts = PodFacts(
        name=meta.name,
        job=_job(meta, labels),
        pooler=labels.get("cnpg.io/podRole") == "pooler",
        deleting=meta.deletion_timestamp is not None,
        ready="Ready" in conditions and conditions["Ready"].status == "True",
        ended=item.status.phase in ("Succeeded", "Failed"),
        restarted_at=(meta.annotations or {}).get(ANNOTATION_RESTARTED_AT),
        image=postgres.image,
        resources=_flat(postgres.resources),
        unschedulable=(lost.message or lost.reason)[:MAX_TEXT] if lost else None,
        unschedulable_since=_seconds(lost.last_transition_time) if lost else 0.0,
        containers=tuple(facts for status in statuses if (facts := _container(status)) is not None),
    )
    return Owned(meta.namespace, labels.get(LABEL_CNPG_CLUSTER, ""), facts)


def decode_volume(raw: msgspec.Raw | bytes) -> Owned:
    """Facts of a PersistentVolumeClaim that carries the label ``cnpg.io/cluster``."""
    item = _VOLUME.decode(raw)
    meta, labels = item.metadata, item.metadata.labels or {}
    requested = (item.spec.resources.requests if item.spec.resources else None) or {}
    facts = VolumeFacts(
        name=meta.name,
        data=labels.get("cnpg.io/pvcRole", "PG_DATA") == "PG_DATA",
        deleting=meta.deletion_timestamp is not None,
        bound=item.status.phase == "Bound",
        storage_class=item.spec.storage_class_name,
        requested=_text(requested.get("storage")),
        capacity=_text((item.status.capacity or {}).get("storage")),
    )
    return Owned(meta.namespace, labels.get(LABEL_CNPG_CLUSTER, ""), facts)


def decode_warning(raw: msgspec.Raw | bytes) -> Warned:
    """Facts of an Event (core/v1)."""
    item = _EVENT.decode(raw)
    moment = (item.series.last_observed_time if item.series else None) or item.last_timestamp or item.event_time
    facts = WarningFacts(
        kind=item.involved_object.kind,
        name=item.involved_object.name,
        reason=item.reason[:MAX_TEXT],
        message=item.message[:MAX_TEXT],
        seen_at=_seconds(moment),
    )
    return Warned(item.involved_object.namespace or item.metadata.namespace, facts)


def _editor(entries: list[_Managed] | tuple[()]) -> str | None:
    """Manager of the newest write to anything but the status; of writes in one second the other's counts.

    A drift too many costs a comparison, one too few stays until the next resync.
    """
    writes = [entry for entry in entries if not entry.subresource]
    newest = max(writes, key=lambda entry: (entry.time, entry.manager != FIELD_MANAGER), default=None)
    return newest.manager if newest is not None else None


def _job(meta: _Meta, labels: Mapping[str, str]) -> str | None:
    role = labels.get("cnpg.io/jobRole")
    if role:
        return role
    return "job" if any(owner.kind == "Job" for owner in meta.owner_references or ()) else None


def _container(status: _ContainerStatus) -> ContainerFacts | None:
    state, last = status.state or _ContainerState(), status.last_state or _ContainerState()
    waiting = state.waiting.reason if state.waiting and state.waiting.reason not in _NORMAL_WAITS else None
    ended = state.terminated if state.terminated and state.terminated.reason != "Completed" else None
    if not (waiting or ended or status.restart_count):
        return None
    return ContainerFacts(
        name=status.name,
        waiting=waiting,
        terminated=ended.reason if ended else None,
        exit_code=ended.exit_code if ended else 0,
        restarts=status.restart_count,
        last_terminated=last.terminated.reason if last.terminated else None,
        message=((state.waiting or state.terminated or _Happening()).message)[:MAX_TEXT],
    )


def _flat(resources: _Resources | None) -> dict[str, str]:
    if resources is None:
        return {}
    parts = {"limits": resources.limits or {}, "requests": resources.requests or {}}
    return {f"{part}.{name}": str(amount) for part, amounts in parts.items() for name, amount in amounts.items()}


def _integer(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def _text(value: str | float | None) -> str | None:
    return None if value is None else str(value)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=8).hexdigest()


def _seconds(moment: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for none."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else 0.0
    except ValueError:
        return 0.0
