"""What was last derived about a database: the ``previous`` of the next derivation, and the row that is persisted.

Besides what the events say it holds the marks that tell whether a generation in sight was proven; they may be lost
(a restart then waits the two seconds of semantics 6 again), the rest may not.
"""

import msgspec

from postern_common.contracts.reasons import Reason
from postern_common.contracts.states import DatabaseState


class Sight(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What was seen since the generation in sight appeared. Times are seconds since the epoch."""

    seen_at: float
    differed: bool = False
    """At first sight something did not match what was asked, so a later match is evidence."""
    reacted: bool = False
    """The operator was in another phase than healthy, so it noticed."""
    calm_since: float | None = None
    """Healthy and matching without a break since then."""
    proven: bool = False
    """The cluster was what this generation asks."""


class Observed(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """State of a database with all that the next derivation needs of the past."""

    state: DatabaseState
    reason: Reason
    message: str
    since: float
    """When ``state`` began, seconds since the epoch."""

    uid: str
    generation: int
    observed_generation: int
    goal: str | None
    ever_ready: bool
    """This Cluster object (by uid) was ready once."""

    instances: int | None = None
    ready_instances: int | None = None
    primary: str | None = None
    version: int | None = None
    storage: str | None = None
    image: str | None = None

    handled_restarted_at: str | None = None
    proven_hidden: str = ""
    """Fingerprint of the parts without visible evidence at the last proof."""
    troubled_since: float | None = None
    """Since when ``degraded`` is held back."""
    sight: Sight
