"""What an answer of the API server means: one row per kind of answer."""

from typing import Any

import pytest

from postern_common.errors import DependencyDownError, PermanentError, TransientError
from postern_common.kube.errors import (
    ConflictError,
    ForbiddenError,
    GoneError,
    KindMissingError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    error_for,
    plain_words,
)
from postern_common.kube.paths import CLUSTERS, NAMESPACES, manifest_path, object_path


def status(reason: str = "", message: str = "", **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "reason": reason, "message": message, "details": details}


WEBHOOK = 'admission webhook "vcluster.cnpg.io" denied the request: storage cannot shrink'
TYPED_PATCH = "failed to create typed patch object (…): .spec.x: field not declared in schema"
TERMINATING = "unable to create new content in namespace a because it is being terminated"


@pytest.mark.parametrize(
    ("code", "body", "error", "reason"),
    [
        (401, status("Unauthorized"), UnauthorizedError, "kubernetes_forbidden"),
        (
            403,
            status("Forbidden", 'clusters is forbidden: User "x" cannot patch'),
            ForbiddenError,
            "kubernetes_forbidden",
        ),
        (403, status("Forbidden", WEBHOOK), RejectedError, "admission_denied"),
        (403, status("Forbidden", "exceeded quota: q, requested: cpu=1"), RejectedError, "admission_denied"),
        (403, status("Forbidden", TERMINATING), UnavailableError, "namespace_terminating"),
        (
            403,
            status("Forbidden", "no", causes=[{"reason": "NamespaceTerminating"}]),
            UnavailableError,
            "namespace_terminating",
        ),
        (404, status("NotFound", "not found", name="a", kind="clusters"), NotFoundError, "not_found"),
        (404, None, KindMissingError, "crd_missing"),
        (404, status("NotFound", "the server could not find the requested resource"), KindMissingError, "crd_missing"),
        (409, status("Conflict"), ConflictError, "apply_conflict"),
        (409, status("AlreadyExists", name="a"), ConflictError, "apply_conflict"),
        (410, status("Expired"), GoneError, "gone"),
        (400, status("BadRequest", "strict decoding error: unknown field"), RejectedError, "manifest_rejected"),
        (413, None, RejectedError, "manifest_rejected"),
        (415, None, RejectedError, "manifest_rejected"),
        (422, status("Invalid", "spec.instances: Invalid value"), RejectedError, "manifest_rejected"),
        (422, status("Invalid", "ValidatingAdmissionPolicy 'p' denied request: no"), RejectedError, "admission_denied"),
        (500, status("", TYPED_PATCH), RejectedError, "manifest_rejected"),
        (500, status("InternalError", "failed calling webhook: deadline"), UnavailableError, "kubernetes_unavailable"),
        (429, status("TooManyRequests"), UnavailableError, "kubernetes_unavailable"),
        (502, None, UnavailableError, "kubernetes_unavailable"),
        (503, None, UnavailableError, "kubernetes_unavailable"),
        (302, None, UnavailableError, "kubernetes_unavailable"),
    ],
)
def test_an_answer_says_what_to_do(code: int, body: Any, error: type[Exception], reason: str) -> None:
    found = error_for(code, body, {}, what="PATCH /x")

    assert type(found) is error
    assert (found.code, found.status) == (reason, code)


def test_classes_lead_to_the_right_row_of_every_table() -> None:
    assert issubclass(UnavailableError, DependencyDownError)
    assert issubclass(KindMissingError, DependencyDownError)
    assert issubclass(ForbiddenError, DependencyDownError)
    assert issubclass(RejectedError, PermanentError)
    assert issubclass(ConflictError, TransientError)
    assert issubclass(GoneError, TransientError)


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "99999"}, {}, 300.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({"Retry-After": "-1"}, {}, None),
        ({}, {}, None),
    ],
)
def test_a_wait_that_the_server_asks_for_is_obeyed_within_reason(
    headers: dict[str, str], details: dict[str, Any], seconds: float | None
) -> None:
    found = error_for(429, status("TooManyRequests", **details), headers, what="GET /x")

    assert isinstance(found, UnavailableError)
    assert found.retry_after == seconds


def test_a_servers_text_cannot_break_a_log_line_or_fill_one() -> None:
    assert plain_words("a\r\nb\x00\x1b[31m\u2028c") == "a b [31m c"
    assert len(plain_words("x" * 10_000)) == 300


def test_only_refusals_repeat_the_servers_words() -> None:
    refused = error_for(422, status("Invalid", "spec.instances must be positive"), {}, what="PATCH /x")
    broken = error_for(500, status("InternalError", "dial tcp 10.0.0.1:443: refused"), {}, what="PATCH /x")

    assert "must be positive" in refused.detail
    assert "10.0.0.1" not in broken.detail


def test_no_name_reaches_another_path() -> None:
    assert object_path("g", "v1", "things", "../../secrets", "a/b") == (
        "/apis/g/v1/namespaces/a%2Fb/things/..%2F..%2Fsecrets"
    )
    assert NAMESPACES.object("x") == "/api/v1/namespaces/x"
    assert CLUSTERS.object("c", "n", subresource="status").endswith("/namespaces/n/clusters/c/status")


def test_a_manifest_knows_its_path() -> None:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "n"},
    }
    assert manifest_path(manifest) == "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/p"
    with pytest.raises(KeyError):
        manifest_path({**manifest, "kind": "Unheard"})
