"""Crash points: places where a fault test makes the process die (design/reliability.md, rule 11)."""

import os
from typing import Final

VARIABLE: Final = "POSTERN_CRASHPOINT"
EXIT_STATUS: Final = 137

_active = os.environ.get(VARIABLE)


def crashpoint(name: str) -> None:
    """Die here, as by ``kill -9``, when the process was started with ``POSTERN_CRASHPOINT=<name>``; else nothing."""
    if _active is not None and _active == name:
        os._exit(EXIT_STATUS)
