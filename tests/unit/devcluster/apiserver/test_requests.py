"""Addresses, bodies and rights."""

import pytest

from postern_devcluster.apiserver.kinds import CLUSTERS, NAMESPACES, PODS
from postern_devcluster.apiserver.requests import parse_body, parse_target, verb_of, watch_query, write_options
from postern_devcluster.apiserver.rights import Rights
from postern_devcluster.apiserver.server import NotLoopbackError, require_loopback
from postern_devcluster.apiserver.status import ApiError
from postern_devcluster.apiserver.validation import quantity
from postern_devcluster.apiserver.writes import Target

CNPG = "/apis/postgresql.cnpg.io/v1"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/namespaces", Target(NAMESPACES)),
        ("/api/v1/namespaces/a", Target(NAMESPACES, name="a")),
        ("/api/v1/namespaces/a/status", Target(NAMESPACES, name="a", subresource="status")),
        ("/api/v1/namespaces/a/pods/p/log", Target(PODS, "a", "p", "log")),
        (f"{CNPG}/clusters", Target(CLUSTERS)),
        (f"{CNPG}/namespaces/a/clusters/c/status", Target(CLUSTERS, "a", "c", "status")),
    ],
)
def test_addresses_are_understood(path: str, target: Target) -> None:
    assert parse_target(path) == target


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v2/pods",
        "/apis/monitoring.coreos.com/v1/podmonitors",
        f"{CNPG}/clusters/c",
        "/api/v1/namespaces/a/pods/p/exec",
    ],
)
def test_other_addresses_are_not_found(path: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_target(path)
    assert refused.value.code == 404


def test_verbs_follow_method_and_query() -> None:
    collection, item = Target(PODS, "a"), Target(PODS, "a", "p")
    assert verb_of("GET", collection, {}) == "list"
    assert verb_of("GET", collection, {"watch": "true"}) == "watch"
    assert verb_of("DELETE", collection, {}) == "deletecollection"
    assert verb_of("PATCH", item, {}) == "patch"
    assert verb_of("POST", item, {}) == ""


def test_bodies_in_an_unknown_format_are_refused() -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(b"{}", "text/plain", ("application/json",))
    assert (refused.value.code, refused.value.reason) == (415, "UnsupportedMediaType")
    with pytest.raises(ApiError) as broken:
        parse_body(b"{", "application/json", ("application/json",))
    assert broken.value.code == 400
    assert parse_body(b"a: 1\n", "application/apply-patch+yaml", ("application/apply-patch+yaml",)) == {"a": 1}


def test_streaming_lists_are_refused_as_by_older_servers() -> None:
    with pytest.raises(ApiError) as refused:
        watch_query(PODS, {"sendInitialEvents": "true"}, 0)
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")


def test_the_manager_is_the_client_unless_named() -> None:
    assert write_options({}, "kubectl/v1.32 (linux)", apply=False).manager == "kubectl"
    assert write_options({}, "kubectl/v1.32 (linux)", apply=True).manager == ""
    with pytest.raises(ApiError):
        write_options({"dryRun": "Some"}, "", apply=False)


RIGHTS = Rights({"admin": "A", "provisioner": "P", "watcher": "W"})


def test_tokens_name_users() -> None:
    assert RIGHTS.user_of("Bearer P") == "provisioner"
    assert RIGHTS.user_of("Bearer other") is None
    assert RIGHTS.user_of("") is None


@pytest.mark.parametrize(
    ("user", "verb", "group", "resource", "allowed"),
    [
        ("admin", "delete", "", "secrets", True),
        ("provisioner", "patch", "postgresql.cnpg.io", "clusters", True),
        ("provisioner", "patch", "postgresql.cnpg.io", "clusters/status", True),
        ("provisioner", "watch", "postgresql.cnpg.io", "clusters", False),
        ("provisioner", "get", "", "secrets", True),
        ("provisioner", "list", "", "secrets", False),
        ("provisioner", "get", "", "pods", False),
        ("watcher", "watch", "postgresql.cnpg.io", "clusters", True),
        ("watcher", "patch", "postgresql.cnpg.io", "clusters", False),
        ("watcher", "get", "", "secrets", False),
        ("watcher", "get", "", "pods/log", True),
    ],
)
def test_rights_are_those_of_the_two_accounts(user: str, verb: str, group: str, resource: str, allowed: bool) -> None:
    assert RIGHTS.allows(user, verb, group, resource) is allowed


def test_rights_can_be_switched_off() -> None:
    assert Rights({"watcher": "W"}, enforced=False).allows("watcher", "delete", "", "secrets")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.com"])
def test_only_loopback_addresses_are_taken(host: str) -> None:
    with pytest.raises(NotLoopbackError):
        require_loopback(host)
    assert require_loopback("localhost") == "127.0.0.1"
    assert require_loopback("127.0.0.9") == "127.0.0.9"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1Gi", 2**30), ("1E", 1e18), ("1Ei", 2.0**60), ("2e3", 2000), ("500m", 0.5), (3, 3), ("1k", 1000)],
)
def test_quantities_are_numbers(text: str | int, value: float) -> None:
    assert quantity(text) == value
