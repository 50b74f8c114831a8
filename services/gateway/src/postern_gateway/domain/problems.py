"""Every problem code that the API answers with: the one list of them (docs/api/errors.md is checked against it).

Codes are stable: clients branch on them. Titles and details are for people and may change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from postern_common.errors import ClientError, Violation


@dataclass(frozen=True, slots=True)
class Problem:
    """Status, short title, and what the caller can do about it."""

    status: int
    title: str
    advice: str


PROBLEMS: dict[str, Problem] = {
    "malformed_request": Problem(400, "The request cannot be read", "Correct the header that the detail names."),
    "unauthenticated": Problem(
        401,
        "Credentials are missing or not valid",
        "Send `Authorization: Bearer <key>` with a key that exists and has not expired.",
    ),
    "forbidden": Problem(
        403, "The credential does not allow this", "Use a key with the role or permission named in the detail."
    ),
    "not_found": Problem(
        404, "There is no such resource", "Check the path; what a credential may not see is not found either."
    ),
    "method_not_allowed": Problem(405, "The resource does not know this method", "See the `Allow` header."),
    "request_timeout": Problem(408, "The request came too slowly", "Send the whole body within 10 seconds."),
    "database_exists": Problem(409, "The name is taken", "Choose another name, or use the database that has it."),
    "database_deleting": Problem(
        409, "The database is being deleted", "Wait until its delete operation has succeeded."
    ),
    "project_exists": Problem(409, "The name is taken", "Choose another name; names of projects are never reused."),
    "deletion_protected": Problem(
        409, "The database is protected", "An owner sets `deletion_protection` to false first."
    ),
    "invalid_state": Problem(409, "The state does not allow it", "Wait for the state that the detail names."),
    "no_replica": Problem(409, "There is no second instance", "Scale to two instances or more first."),
    "request_in_progress": Problem(
        409, "A request with this Idempotency-Key is running", "Wait a moment, then send the same request again."
    ),
    "precondition_failed": Problem(
        412, "The resource has changed", "Read it again; the current ETag is in this answer's `ETag` header."
    ),
    "payload_too_large": Problem(413, "The request body is too large", "Bodies may have up to 256 KiB."),
    "unsupported_media_type": Problem(
        415,
        "The content type is not supported",
        "Send `application/json` (or `application/merge-patch+json` to PATCH).",
    ),
    "validation_failed": Problem(422, "The request has invalid values", "Correct each fault listed in `errors`."),
    "storage_shrink": Problem(422, "Storage cannot shrink", "Ask for at least the largest size ever applied."),
    "idempotency_key_reused": Problem(
        422, "The Idempotency-Key belongs to another request", "Use a fresh key for each different request."
    ),
    "internal_error": Problem(500, "An unexpected error happened", "Report the `request_id`."),
    "timeout": Problem(504, "The answer took too long", "Read what is there now, then try again."),
    "dependency_unavailable": Problem(
        503, "A part that is needed does not answer", "Try again after the seconds in `Retry-After`."
    ),
    "not_provisioned_yet": Problem(
        503, "The database is not there yet", "Try again after the seconds in `Retry-After`."
    ),
}

VIOLATIONS: dict[str, str] = {
    "required": "The member is missing, or null where null means nothing.",
    "unknown_member": "No such member.",
    "unknown_query_parameter": "No such query parameter here.",
    "invalid_type": "The value has the wrong JSON type.",
    "invalid_value": "The value is outside what is allowed.",
    "invalid_json": "The body is no JSON document.",
    "nul_character": "Text may not hold U+0000.",
    "invalid_name": "Names are DNS-1035 labels: lower-case letters, digits and hyphens, a letter first, at most 40.",
    "unknown_plan": "The catalogue has no such plan.",
    "unknown_version": "This installation cannot run that PostgreSQL major.",
    "unknown_storage_class": "The installation does not offer that storage class.",
    "unknown_parameter": "The parameter is not on the allow-list of that PostgreSQL major.",
    "fixed_parameter": "The operator sets this parameter itself.",
    "invalid_quantity": "Not a Kubernetes quantity such as 20Gi.",
    "storage_shrink": "Volumes only grow.",
    "immutable": "The member cannot change after creation.",
    "invalid_cidr": "Not a network in CIDR notation.",
    "invalid_cursor": "The cursor is not one that this list gave.",
    "body_not_allowed": "The request takes no body.",
    "idempotency_key_reused": "The key was used for another request.",
}
"""Codes of single faults in ``errors`` of a 422."""


def refuse(
    code: str, detail: str, *, errors: Sequence[Violation] = (), headers: Mapping[str, str] | None = None
) -> ClientError:
    """The error that answers with ``code``; its status comes from the list above."""
    return ClientError(PROBLEMS[code].status, code, detail, errors=errors, headers=headers)


def invalid(*violations: Violation) -> ClientError:
    """A 422 that lists every fault found; a shrink alone has a code of its own (semantics 22)."""
    code = "storage_shrink" if {v.code for v in violations} == {"storage_shrink"} else "validation_failed"
    detail = violations[0].detail if len(violations) == 1 else f"{len(violations)} faults, see errors"
    return refuse(code, detail, errors=violations)


def invalid_parameter(name: str, detail: str) -> ClientError:
    """A 422 about one query parameter or header."""
    return invalid(Violation(name, "invalid_value", detail))
