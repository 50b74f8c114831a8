"""Everything a decision about one cluster rests on, gathered first and then never changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from postern_devcluster.operator.domain.spec import ClusterSpec


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance as objects and process show it. ``claim_ready`` False: its data are still being made."""

    name: str
    claim_ready: bool
    pod: bool = False
    pod_restarted_at: str | None = None
    pod_matches: bool = True
    """The pod has the resources that the Cluster asks for."""
    pod_image: str = ""
    has_data: bool = False
    running: bool = False
    ready: bool = False
    standby: bool = False
    digest: str = ""
    pending_restart: bool = False
    shrinks: bool = False
    """A parameter waits for a restart that a standby may not have less of than its primary."""
    faulty: bool = False
    """Its configuration holds a fault that PostgreSQL does not start with."""
    backing_off: bool = False
    """It failed to start a moment ago with the settings that still hold."""

    @property
    def serial(self) -> int:
        """The number at the end of its name."""
        return int(self.name.rsplit("-", 1)[1])


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster at one moment."""

    spec: ClusterSpec
    instances: Mapping[str, InstanceView]
    phase: str = ""
    phase_reason: str | None = None
    current_primary: str | None = None
    target_primary: str | None = None
    hibernation: str | None = None
    """Reason of the hibernation condition, None when the condition is absent."""
    growth_refused: bool = False
    claims_to_grow: tuple[str, ...] = ()
    jobs: bool = False
    """A finished or failed job still has its object."""
    upgrade_asked: bool = False
    """The image is of another major version than the data."""

    @property
    def primary(self) -> InstanceView | None:
        """The current primary."""
        return self.instances.get(self.current_primary or "")

    @property
    def standbys(self) -> list[InstanceView]:
        """Every other instance, highest number first: the order in which they are restarted and removed."""
        others = [each for each in self.instances.values() if each.name != self.current_primary]
        return sorted(others, key=lambda each: each.serial, reverse=True)
