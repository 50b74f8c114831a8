"""Stable reason codes of states and of failed applies, and which of them nothing but a person can heal.

``state_reason`` in the API and ``reason`` in events are always one of these; the message beside it is free text.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a database is in its state, or why an apply failed."""

    # serving and moving
    HEALTHY = "healthy"
    CREATING = "creating"
    APPLYING = "applying"
    SCALING = "scaling"
    ROLLING = "rolling"
    RESTART_REQUESTED = "restart_requested"
    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    MAJOR_UPGRADE = "major_upgrade"
    HIBERNATION_REQUESTED = "hibernation_requested"
    RESUME_REQUESTED = "resume_requested"
    DELETION_REQUESTED = "deletion_requested"
    REMOVED = "removed"
    VANISHED = "vanished"
    # not as it should be
    INSTANCES_MISSING = "instances_missing"
    NO_READY_PRIMARY = "no_ready_primary"
    UNKNOWN_PHASE = "unknown_phase"
    WAITING_FOR_USER = "waiting_for_user"
    UPGRADE_DELAYED = "upgrade_delayed"
    OBJECTS_NOT_CREATED = "objects_not_created"
    IMAGE_PULL_FAILED = "image_pull_failed"
    STORAGE_CLASS_MISSING = "storage_class_missing"
    UNSCHEDULABLE = "unschedulable"
    OUT_OF_MEMORY = "out_of_memory"
    INIT_FAILED = "init_failed"
    CRASH_LOOPING = "crash_looping"
    VOLUME_EXPANSION_REFUSED = "volume_expansion_refused"
    CLUSTER_UNRECOVERABLE = "cluster_unrecoverable"
    INVALID_DEFINITION = "invalid_definition"
    IMAGE_CATALOG_INCOMPLETE = "image_catalog_incomplete"
    PLUGIN_FAILED = "plugin_failed"
    ARCHITECTURE_BINARY_MISSING = "architecture_binary_missing"
    # applying
    KUBERNETES_UNAVAILABLE = "kubernetes_unavailable"
    KUBERNETES_FORBIDDEN = "kubernetes_forbidden"
    CRD_MISSING = "crd_missing"
    MANIFEST_REJECTED = "manifest_rejected"
    ADMISSION_DENIED = "admission_denied"
    APPLY_CONFLICT = "apply_conflict"
    NAME_CONFLICT = "name_conflict"
    UNEXPECTED_ERROR = "unexpected_error"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NAMESPACE_TERMINATING = "namespace_terminating"


FINAL_REASONS: frozenset[Reason] = frozenset(
    {
        Reason.CLUSTER_UNRECOVERABLE,
        Reason.INVALID_DEFINITION,
        Reason.IMAGE_CATALOG_INCOMPLETE,
        Reason.ARCHITECTURE_BINARY_MISSING,
        Reason.OUT_OF_MEMORY,
        Reason.VOLUME_EXPANSION_REFUSED,
    }
)
"""With these the watcher says ``failed`` and the gateway fails the operation at once: waiting cannot heal them."""
