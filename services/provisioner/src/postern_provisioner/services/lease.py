"""The time an attempt may write in. Separate because nothing on the API server fences a create (semantics 15).

An update carries the resource version that was read; a create has no such lock, so a process that slept through its
lease must notice by itself before it writes. The clock is the monotonic one: it runs on while a process is stopped.
"""

import time

from postern_common.errors import TransientError

MARGIN_SECONDS = 2.0


class LeaseLostError(TransientError):
    """The claim may belong to somebody else by now."""


class Lease:
    """Seconds of a claim, counted from before it was asked for."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds - MARGIN_SECONDS

    def require(self) -> None:
        """Raise ``LeaseLostError`` when it is too late to write."""
        if time.monotonic() >= self._deadline:
            raise LeaseLostError("kubernetes_unavailable", "the attempt took longer than its lease")

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._deadline - time.monotonic())
