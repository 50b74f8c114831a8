"""What a person sees while something takes long: one line per finished step, and what is under way.

Separate so that no other module knows whether somebody is looking at a terminal or a file.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

TITLE_WIDTH = 26


class Progress:
    """Prints finished steps; on a terminal a line at the bottom names the steps under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._under_way: dict[str, str] = {}
        self._status: Status | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("", spinner="dots")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, name: str, title: str) -> None:
        """Say that a step is under way."""
        self._under_way[name] = title
        self._show()

    def note(self, name: str, title: str) -> None:
        """Say what a step under way is waiting for."""
        if name in self._under_way and self._under_way[name] != title:
            self._under_way[name] = title
            self._show()

    def done(self, name: str, title: str, said: str, seconds: float) -> None:
        """Print the line of a finished step."""
        self._under_way.pop(name, None)
        line = Text.assemble(("  ✓ ", "green"), f"{title:<{TITLE_WIDTH}}", (f"{seconds:6.1f} s  ", "dim"), said)
        self._console.print(line, soft_wrap=True)
        self._show()

    def _show(self) -> None:
        if self._status is not None:
            self._status.update(", ".join(self._under_way.values()) or "…")
