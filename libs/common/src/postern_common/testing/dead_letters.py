"""A dead-letter table in memory."""

from dataclasses import dataclass

from postern_common.errors import DependencyDownError


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A recorded reason."""

    queue: str
    source: str
    id: str
    reason: str
    detail: str


class FakeDeadLetters:
    """Records reasons like ``DeadLetterStore``; with ``is_up`` false its database does not answer."""

    def __init__(self) -> None:
        self.recorded: list[DeadLetter] = []
        self.is_up = True

    async def record(self, *, queue: str, source: str, id: str, reason: str, detail: str) -> None:  # noqa: A002
        """Store why a message was dead-lettered."""
        if not self.is_up:
            raise DependencyDownError("database_unavailable", "the fake database is down")
        self.recorded.append(DeadLetter(queue, source, id, reason, detail))
