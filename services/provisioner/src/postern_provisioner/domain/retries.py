"""The retry table (semantics 29): what a failed attempt means for the target, pure.

Dependency down is waited for and never counted; refused fails at once; unknown errors get eight attempts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from postern_common.contracts.reasons import Reason
from postern_common.errors import PermanentError, PosternError, TransientError

MAX_ATTEMPTS = 8
INITIAL_DELAY = 0.2
MAX_DELAY = 15.0
SLOW_DELAY = 60.0
"""Between attempts once every operation's deadline (15 minutes) is over."""
DEADLINE_SECONDS = 15 * 60.0
MAX_DETAIL = 400

_CODES = frozenset(Reason)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Failure:
    """What follows from a failed attempt. ``delay`` is None when the target rests until its next command."""

    code: str
    detail: str
    retryable: bool
    counted: bool
    delay: float | None
    announce: bool
    """Whether ``apply_failed`` is emitted: once per change of the code, always when it is final."""


@dataclass(frozen=True, slots=True)
class History:
    """How the target has fared before this failure."""

    attempts: int
    """Failures in a row that count."""
    failures: int
    """Failures in a row of any class."""
    last_code: str | None
    age_seconds: float
    """Since the newest generation was received."""


def judge(error: BaseException, history: History, *, jitter: Callable[[float, float], float]) -> Failure:
    """The row of the table for ``error``; ``jitter(low, high)`` gives a number between them."""
    delay = _delay(history, jitter)
    if isinstance(error, TimeoutError):
        return _waiting(Reason.KUBERNETES_UNAVAILABLE, "Kubernetes did not answer in time", history, delay)
    if isinstance(error, PermanentError):
        return Failure(_code(error), _words(error.detail), retryable=False, counted=True, delay=None, announce=True)
    if isinstance(error, TransientError):
        # The other side's Retry-After is the least we wait.
        return _waiting(_code(error), _words(error.detail), history, max(delay, error.retry_after or 0.0))
    code, detail = Reason.UNEXPECTED_ERROR, f"an unexpected error occurred ({type(error).__name__})"
    if history.attempts + 1 >= MAX_ATTEMPTS:
        return Failure(code, detail, retryable=False, counted=True, delay=None, announce=True)
    return Failure(code, detail, retryable=True, counted=True, delay=delay, announce=code != history.last_code)


def _waiting(code: str, detail: str, history: History, delay: float) -> Failure:
    return Failure(code, detail, retryable=True, counted=False, delay=delay, announce=code != history.last_code)


def _delay(history: History, jitter: Callable[[float, float], float]) -> float:
    if history.age_seconds >= DEADLINE_SECONDS:
        return jitter(SLOW_DELAY / 2, SLOW_DELAY)
    bound = min(INITIAL_DELAY * 2.0 ** min(history.failures, 16), MAX_DELAY)
    return jitter(bound / 2, bound)


def _code(error: PosternError) -> str:
    return error.code if error.code in _CODES else Reason.UNEXPECTED_ERROR


def _words(text: str) -> str:
    """One line of bounded length: parts of it may come from a webhook that we do not trust."""
    words = _CONTROL.sub(" ", text).strip()
    return words if len(words) <= MAX_DETAIL else words[: MAX_DETAIL - 1] + "…"
