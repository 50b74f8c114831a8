"""What can come next for a cluster. Each step is carried out by one function and then everything is looked at again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until something changes."""


@dataclass(frozen=True, slots=True)
class AwaitInstances:
    """An instance does not come up; it is tried again later."""


@dataclass(frozen=True, slots=True)
class CreatePrimary:
    """Make the first instance."""

    name: str


@dataclass(frozen=True, slots=True)
class CreateReplica:
    """Make a further instance."""

    name: str


@dataclass(frozen=True, slots=True)
class ReleasePod:
    """Somebody deleted the pod: end its process."""

    name: str


@dataclass(frozen=True, slots=True)
class StartInstance:
    """An instance with data does not run, or has no pod. ``quietly``: a kubelet's restart that moves no phase."""

    name: str
    quietly: bool = False


@dataclass(frozen=True, slots=True)
class FailOver:
    """The primary is gone and a standby can take over."""

    former: str


@dataclass(frozen=True, slots=True)
class SwitchOver:
    """Another primary was asked for."""

    target: str


@dataclass(frozen=True, slots=True)
class AbandonSwitchover:
    """The asked primary cannot take over: stay with the current one."""


@dataclass(frozen=True, slots=True)
class RemoveInstance:
    """There is one instance too many."""

    name: str


@dataclass(frozen=True, slots=True)
class GrowClaims:
    """Volumes are smaller than asked."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ApplyConfiguration:
    """Configuration files are behind the spec."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestartReplica:
    """Replace a standby's pod."""

    name: str
    reason: str
    announce: bool
    """Say "Applying configuration" first: a restart that parameters made necessary."""


@dataclass(frozen=True, slots=True)
class RestartPrimary:
    """Replace the primary's pod without a switchover."""

    reason: str


@dataclass(frozen=True, slots=True)
class RestartInPlace:
    """Restart the primary's server inside its pod."""

    announce: bool


@dataclass(frozen=True, slots=True)
class WaitToHibernate:
    """Hibernation was asked of a cluster that is not healthy yet."""

    then: "Step"


@dataclass(frozen=True, slots=True)
class HibernateInstance:
    """Stop one instance for hibernation."""

    name: str


@dataclass(frozen=True, slots=True)
class MarkHibernated:
    """Every pod is gone."""


@dataclass(frozen=True, slots=True)
class LeaveHibernation:
    """Hibernation is no longer asked for."""


@dataclass(frozen=True, slots=True)
class RefuseUpgrade:
    """Another major version was asked for, which this operator cannot bring the data to."""


@dataclass(frozen=True, slots=True)
class MarkHealthy:
    """Everything is as asked."""


@dataclass(frozen=True, slots=True)
class MarkUnrecoverable:
    """No instance has data any more."""


Step = (
    Rest | AwaitInstances | CreatePrimary | CreateReplica | ReleasePod | StartInstance | FailOver | SwitchOver
    | AbandonSwitchover | RemoveInstance | GrowClaims | ApplyConfiguration | RestartReplica | RestartPrimary
    | RestartInPlace | WaitToHibernate | HibernateInstance | MarkHibernated | LeaveHibernation | MarkHealthy
    | MarkUnrecoverable | RefuseUpgrade
)  # fmt: skip
