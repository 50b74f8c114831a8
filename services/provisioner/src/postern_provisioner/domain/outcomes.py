"""How an attempt ended when it did not fail."""

from dataclasses import dataclass

from postern_common.contracts.events import ObjectReference


@dataclass(frozen=True, slots=True)
class Applied:
    """All objects are the desired ones; ``image`` is what the Cluster was given."""

    objects: tuple[ObjectReference, ...]
    image: str
    repaired: tuple[str, ...] = ()
    """What had drifted, in words; only for a look at an applied target."""


@dataclass(frozen=True, slots=True)
class Removed:
    """No object of the database is left; ``objects`` are those deleted just now, ``existed`` says if there was any."""

    objects: tuple[ObjectReference, ...]
    existed: bool


@dataclass(frozen=True, slots=True)
class StillThere:
    """Objects are marked for deletion and wait for somebody's finalizer."""

    objects: tuple[ObjectReference, ...]
