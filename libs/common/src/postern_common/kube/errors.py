"""What an answer of the API server means, as error classes: one pure table from status and Status object to an error.

Separate from the client so that the table is tested without a socket. ``code`` is a reason code of
``contracts.reasons``; ``detail`` holds our own words and at most 300 escaped characters of the server's message, and
that only for refusals, where the message is what the user needs.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from postern_common.contracts.reasons import Reason
from postern_common.errors import DependencyDownError, PermanentError, PosternError, TransientError

MAX_DETAIL = 300
MAX_RETRY_AFTER = 300.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_DENIED = re.compile(r"denied (the )?request|exceeded quota|is forbidden: (violates|maximum|minimum)")
_TERMINATING = "because it is being terminated"


class KubeError(PosternError):
    """An answer other than success. ``status`` is 0 when there was no answer; ``reason`` is the Status object's."""

    def __init__(self, code: str, detail: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(code, detail)
        self.status = status
        self.reason = reason


class NotFoundError(KubeError):
    """The object (or its namespace) is not there; the kind is."""


class ConflictError(KubeError, TransientError):
    """The object changed since it was read, exists already, or has another uid: read again and plan again."""

    def __init__(self, code: str, detail: str, *, status: int = 409, reason: str = "Conflict") -> None:
        KubeError.__init__(self, code, detail, status=status, reason=reason)
        self.retry_after = None


class GoneError(KubeError, TransientError):
    """The resource version or continue token has expired: list again."""

    def __init__(self, code: str, detail: str, *, status: int = 410, reason: str = "Expired") -> None:
        KubeError.__init__(self, code, detail, status=status, reason=reason)
        self.retry_after = None


class RejectedError(KubeError, PermanentError):
    """The server understood and refused: the same request gets the same answer (semantics 29)."""


class UnavailableError(KubeError, DependencyDownError):
    """No useful answer: unreachable, late, overloaded, broken, without rights, or the kind is not installed."""

    def __init__(
        self, code: str, detail: str, *, status: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        KubeError.__init__(self, code, detail, status=status, reason=reason)
        self.retry_after = retry_after


class UnauthorizedError(UnavailableError):
    """401: the credential is not (or no longer) accepted; it is read again before the next request."""


class ForbiddenError(UnavailableError):
    """403: a right is missing."""


class KindMissingError(UnavailableError):
    """404 for the path itself: the custom resource definition or API group is not installed."""


def plain_words(text: object, limit: int = MAX_DETAIL) -> str:
    """``text`` from an untrusted server on one line: control characters become spaces, the end is cut at ``limit``."""
    words = _CONTROL.sub(" ", str(text)).strip()
    return words if len(words) <= limit else words[: limit - 1] + "…"


def error_for(status: int, body: object, headers: Mapping[str, str], *, what: str) -> KubeError:
    """The error that an answer means. ``body`` is decoded JSON, None where it was none; ``what`` names the request."""
    answer: Mapping[str, Any] = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    reason = plain_words(answer.get("reason") or "", 60)
    message = plain_words(answer.get("message") or "")
    specific = _BY_STATUS.get(status)
    if specific is not None:
        return specific(what, answer, message, reason)
    if status == 500 and "failed to create typed patch object" in message:
        return _refused(what, message, 500, reason)
    if 400 <= status < 500 and status != 429:
        return _refused(what, message, status, reason)
    return UnavailableError(
        Reason.KUBERNETES_UNAVAILABLE, f"Kubernetes answered {status} to {what}", status=status, reason=reason,
        retry_after=_retry_after(headers, answer),
    )  # fmt: skip


def _unauthorized(what: str, _answer: Mapping[str, Any], _message: str, reason: str) -> KubeError:
    return UnauthorizedError(
        Reason.KUBERNETES_FORBIDDEN, f"Kubernetes does not accept our credential for {what}", status=401, reason=reason
    )


def _forbidden(what: str, answer: Mapping[str, Any], message: str, reason: str) -> KubeError:
    if _TERMINATING in message or _has_cause(answer, "NamespaceTerminating"):
        return UnavailableError(
            Reason.NAMESPACE_TERMINATING, f"the namespace is being deleted: {what}", status=403, reason=reason
        )
    if _DENIED.search(message):
        return RejectedError(Reason.ADMISSION_DENIED, f"refused: {message}", status=403, reason=reason)
    return ForbiddenError(
        Reason.KUBERNETES_FORBIDDEN, f"Kubernetes does not allow us {what}", status=403, reason=reason
    )


def _not_found(what: str, answer: Mapping[str, Any], message: str, reason: str) -> KubeError:
    details = answer.get("details")
    names_object = isinstance(details, dict) and bool(details.get("name"))
    if not names_object or "could not find the requested resource" in message:
        return KindMissingError(
            Reason.CRD_MISSING, f"Kubernetes does not serve the kind that {what} needs", status=404, reason=reason
        )
    return NotFoundError("not_found", f"{what}: no such object", status=404, reason=reason)


def _conflict(what: str, _answer: Mapping[str, Any], _message: str, reason: str) -> KubeError:
    return ConflictError(Reason.APPLY_CONFLICT, f"{what}: the object has changed", reason=reason or "Conflict")


def _gone(what: str, _answer: Mapping[str, Any], _message: str, reason: str) -> KubeError:
    return GoneError("gone", f"{what}: the resource version has expired", reason=reason or "Expired")


def _refused(what: str, message: str, status: int, reason: str) -> KubeError:
    code = Reason.ADMISSION_DENIED if _DENIED.search(message) else Reason.MANIFEST_REJECTED
    return RejectedError(code, f"refused: {message or what}", status=status, reason=reason)


def _has_cause(answer: Mapping[str, Any], cause: str) -> bool:
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return any(isinstance(c, dict) and c.get("reason") == cause for c in causes or ())


def _retry_after(headers: Mapping[str, str], answer: Mapping[str, Any]) -> float | None:
    """Seconds from the header, else from the Status; a server cannot make us wait longer than ``MAX_RETRY_AFTER``."""
    details = answer.get("details")
    seconds = headers.get("Retry-After") or (details.get("retryAfterSeconds") if isinstance(details, dict) else None)
    try:
        value = float(seconds)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return min(value, MAX_RETRY_AFTER) if value > 0 else None


_BY_STATUS: dict[int, Callable[[str, Mapping[str, Any], str, str], KubeError]] = {
    401: _unauthorized, 403: _forbidden, 404: _not_found, 409: _conflict, 410: _gone,
}  # fmt: skip
