"""Errors whose class says what to do: permanent, transient with a delay, poison, or a client's fault with a status.

One table settles messages by these classes, one handler answers requests by them (style rule 6). ``code`` is stable and
safe to show; ``detail`` is for people and never holds a secret, SQL or an internal address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class PosternError(Exception):
    """Base of every error of ours."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class PermanentError(PosternError):
    """Doing it again gives the same answer."""


class PoisonError(PermanentError):
    """A message that no consumer can ever handle: it is dead-lettered with the reason."""


class TransientError(PosternError):
    """May succeed later; ``retry_after`` seconds where the other side said so."""

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class DependencyDownError(TransientError):
    """A dependency does not answer (connect, timeout, 429, 5xx, 401/403): waited for, never counted as an attempt."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault in a request: RFC 6901 JSON pointer (or a parameter's name), stable code, plain words."""

    pointer: str
    code: str
    detail: str


class ClientError(PosternError):
    """A request that is refused: becomes an RFC 9457 problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Violation] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.status = status
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
