"""Kubernetes' ``Status`` answers: one error class, a constructor per reason, messages in the real server's form.

Separate because every layer raises them and one place turns them into an HTTP answer.
"""

from collections.abc import Sequence
from typing import Any

from postern_devcluster.apiserver.kinds import Kind

Object = dict[str, Any]
"""A decoded Kubernetes object. Stored ones are shared and never changed in place."""


class ApiError(Exception):
    """A refused request. ``reason`` may be empty: the real server leaves it out where it has none."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Object | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after

    def status(self) -> Object:
        """The Status object of the answer."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


def cause(reason: str, message: str, field: str) -> Object:
    """One entry of ``details.causes``."""
    return {"reason": reason, "message": message, "field": field}


def _details(kind: Kind, name: str, **more: Any) -> Object:
    details: Object = {"name": name, "group": kind.group, "kind": kind.plural, **more}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> ApiError:
    """404 for an object that is not there."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', details=_details(kind, name))


def path_not_found() -> ApiError:
    """404 for an address that this server does not serve."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(kind: Kind, name: str) -> ApiError:
    """409 of a create."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """409 of optimistic concurrency or of a precondition."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(kind, name))


def apply_conflict(conflicts: Sequence[tuple[str, str]]) -> ApiError:
    """409 of a server-side apply: pairs of (owner as shown to people, field path)."""
    causes = [cause("FieldManagerConflict", f"conflict with {owner}", field) for owner, field in conflicts]
    owners = sorted({owner for owner, _ in conflicts})
    fields = [field for _, field in conflicts]
    if len(conflicts) == 1:
        message = f"Apply failed with 1 conflict: conflict with {owners[0]}: {fields[0]}"
    else:
        grouped = "\n".join(
            f"conflicts with {owner}:\n" + "\n".join(f"- {field}" for who, field in conflicts if who == owner)
            for owner in owners
        )
        message = f"Apply failed with {len(conflicts)} conflicts: {grouped}"
    return ApiError(409, "Conflict", message, details={"causes": causes})


def invalid(kind: Kind, name: str, causes: Sequence[Object], *, webhook: str = "") -> ApiError:
    """422 with one cause per faulty field; ``webhook`` names the admission webhook that refused, if one did."""
    texts = [f"{each['field']}: {each['message']}" for each in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f'{kind.qualified_kind} "{name}" is invalid: {listed}'
    if webhook:
        message = f'admission webhook "{webhook}" denied the request: {message}'
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": list(causes)}
    return ApiError(422, "Invalid", message, details={key: value for key, value in details.items() if value})


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401: no or unknown credential."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(kind: Kind, name: str, why: str, *, causes: Sequence[Object] = ()) -> ApiError:
    """403 of rights or of admission."""
    subject = f'{kind.resource} "{name}" is forbidden' if name else f"{kind.resource} is forbidden"
    return ApiError(403, "Forbidden", f"{subject}: {why}", details=_details(kind, name, causes=list(causes)))


def namespace_terminating(kind: Kind, name: str, namespace: str) -> ApiError:
    """403 of a create in a namespace that is going away."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    text = f"namespace {namespace} is being terminated"
    return forbidden(kind, name, why, causes=[cause("NamespaceTerminating", text, "metadata.namespace")])


def expired(message: str) -> ApiError:
    """410: the version asked for has been compacted."""
    return ApiError(410, "Expired", message)


def method_not_allowed() -> ApiError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415 of a body or patch in a format that is not taken."""
    listed = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", message)


def success(kind: Kind, name: str, uid: str) -> Object:
    """The Status of a finished DELETE."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _details(kind, name, uid=uid),
    }
