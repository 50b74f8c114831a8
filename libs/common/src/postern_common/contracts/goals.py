"""Goals: what must be observed before an operation has succeeded (semantics 13).

The text form travels in commands and in the annotation ``postern.dev/goal``; its generation is that of the message or
annotation set it stands in.
"""

from dataclasses import dataclass

from typing_extensions import override

from postern_common.contracts.states import DatabaseState

_NOT_PRIMARY = "primary!="
_STATES = {"ready": DatabaseState.READY, "hibernated": DatabaseState.HIBERNATED, "deleted": DatabaseState.DELETED}


@dataclass(frozen=True, slots=True)
class Goal:
    """A state to be observed, with a primary other than ``not_primary`` where that is given."""

    state: DatabaseState
    not_primary: str | None = None

    @override
    def __str__(self) -> str:
        return self.state.value if self.not_primary is None else f"{self.state.value};{_NOT_PRIMARY}{self.not_primary}"

    def is_met_by(self, state: DatabaseState, primary: str | None) -> bool:
        """Whether an observation in ``state`` with ``primary`` (a pod's name) is what was asked."""
        if state is not self.state:
            return False
        return self.not_primary is None or (primary is not None and primary != self.not_primary)


READY = Goal(DatabaseState.READY)
HIBERNATED = Goal(DatabaseState.HIBERNATED)
DELETED = Goal(DatabaseState.DELETED)


def parse_goal(text: str) -> Goal:
    """Parse ``ready``, ``hibernated``, ``deleted`` or ``ready;primary!=<pod>``.

    Raises ``ValueError`` for anything else.
    """
    name, separator, condition = text.partition(";")
    state = _STATES.get(name)
    if state is None:
        raise ValueError(f"unknown goal {text!r}")
    if not separator:
        return Goal(state)
    pod = condition.removeprefix(_NOT_PRIMARY)
    if state is not DatabaseState.READY or pod == condition or not pod:
        raise ValueError(f"unknown goal {text!r}")
    return Goal(state, pod)
