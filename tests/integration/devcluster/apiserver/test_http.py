"""The API server over HTTPS, as any client meets it."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.integration.devcluster.apiserver.conftest import APPLY, CNPG, MERGE, Client, client_of

from postern_devcluster.apiserver import ApiServer, rights, running_api_server

CLUSTERS = f"{CNPG}/namespaces/acme/clusters"
SPEC = {"instances": 2, "storage": {"size": "1Gi"}}


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": "acme"},
        "spec": {**SPEC, **spec},
    }


async def apply(client: Client, name: str, **spec: Any) -> Any:
    query = {"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"}
    return await client.ask("PATCH", f"{CLUSTERS}/{name}", manifest(name, **spec), content_type=APPLY, **query)


async def test_apply_creates_with_201_and_then_answers_200(admin: Client) -> None:
    assert [(await apply(admin, "orders")).code for _ in range(2)] == [201, 200]


async def test_errors_are_status_objects_with_reason_and_code(admin: Client) -> None:
    missing = await admin.ask("GET", f"{CLUSTERS}/none")
    assert (missing.code, missing.body["reason"], missing.body["kind"]) == (404, "NotFound", "Status")
    assert missing.body["details"] == {"name": "none", "group": "postgresql.cnpg.io", "kind": "clusters"}
    undeclared = await apply(admin, "orders", xyz=1)
    assert (undeclared.code, "reason" in undeclared.body) == (500, False)
    method = await admin.ask("POST", f"{CLUSTERS}/none", {})
    assert (method.code, method.body["reason"]) == (405, "MethodNotAllowed")
    media = await admin.ask("POST", CLUSTERS, {}, content_type="text/plain")
    assert (media.code, media.body["reason"]) == (415, "UnsupportedMediaType")
    elsewhere = await admin.ask("GET", "/apis/monitoring.coreos.com/v1")
    assert elsewhere.code == 404


async def test_a_kind_whose_definition_was_deleted_is_not_served(admin: Client) -> None:
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    gone = await admin.ask("DELETE", f"{definitions}/clusters.postgresql.cnpg.io")
    assert gone.code == 200
    listed = await admin.ask("GET", f"{CNPG}/clusters")
    assert (listed.code, "details" in listed.body) == (404, False)
    assert (await apply(admin, "orders")).code == 404
    assert (await admin.ask("GET", f"{CNPG}/backups")).code == 200
    discovered = {entry["name"] for entry in (await admin.ask("GET", CNPG)).body["resources"]}
    assert "backups" in discovered
    assert not {"clusters", "clusters/status"} & discovered


async def test_an_unknown_token_is_unauthorized(server: ApiServer, admin: Client) -> None:
    headers = {"Authorization": "Bearer nobody"}
    async with admin.session.get("/api/v1/pods", headers=headers) as response:
        assert response.status == 401
        assert (await response.json())["reason"] == "Unauthorized"


async def test_the_two_accounts_have_their_rights_and_no_more(server: ApiServer, admin: Client) -> None:
    assert server.kubeconfigs is not None
    await apply(admin, "orders")
    async with client_of(server.kubeconfigs.watcher) as watcher, client_of(server.kubeconfigs.provisioner) as writer:
        assert (await watcher.ask("GET", f"{CNPG}/clusters")).code == 200
        refused = await watcher.ask("GET", "/api/v1/namespaces/acme/secrets")
        assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
        assert (await apply(watcher, "orders")).code == 403
        assert (await apply(writer, "orders")).code == 200
        status = {"status": {"targetPrimary": "orders-2"}}
        assert (await writer.ask("PATCH", f"{CLUSTERS}/orders/status", status, content_type=MERGE)).code == 200
        review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "secrets"}}}
        answer = await writer.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        assert (answer.code, answer.body["status"]["allowed"]) == (201, False)


async def test_an_apply_that_would_create_needs_the_right_to_create(
    server: ApiServer, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.kubeconfigs is not None
    only_patch = {"provisioner": (rights.Rule("postgresql.cnpg.io", ("clusters",), ("patch",)),)}
    monkeypatch.setattr(rights, "RULES", only_patch)
    async with client_of(server.kubeconfigs.provisioner) as writer:
        refused = await apply(writer, "orders")
        assert (refused.code, "cannot create resource" in refused.body["message"]) == (403, True)
        await apply(admin, "orders")
        assert (await apply(writer, "orders")).code == 200


async def test_an_oversized_body_is_refused_in_the_protocols_form(admin: Client) -> None:
    answer = await admin.ask("POST", CLUSTERS, {"metadata": {"name": "x", "annotations": {"a": "x" * 4_000_000}}})
    assert (answer.code, answer.body["reason"]) == (413, "RequestEntityTooLarge")


async def test_warnings_name_dropped_fields(admin: Client) -> None:
    body = manifest("orders", bogus=1)
    made = await admin.ask("POST", CLUSTERS, body)
    assert (made.code, made.headers["Warning"]) == (201, '299 - "unknown field \\"spec.bogus\\""')


async def test_a_watch_shows_every_change_at_once_and_in_order(admin: Client) -> None:
    listed = await admin.ask("GET", CLUSTERS)
    version = listed.body["metadata"]["resourceVersion"]
    async with admin.watch(CLUSTERS, resourceVersion=version) as events:
        await apply(admin, "orders")
        await apply(admin, "orders", instances=3)
        await admin.ask("DELETE", f"{CLUSTERS}/orders")
        seen = [await anext(events) for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))
    assert seen[0]["object"]["kind"] == "Cluster"


async def test_after_compaction_an_old_version_is_expired_for_watch_and_continue(
    server: ApiServer, admin: Client
) -> None:
    for name in ("a", "b", "c"):
        await apply(admin, name)
    page = (await admin.ask("GET", CLUSTERS, limit="1")).body
    await apply(admin, "d")
    server.compact()
    async with admin.watch(CLUSTERS, resourceVersion=page["metadata"]["resourceVersion"]) as events:
        event = await anext(events)
    assert (event["type"], event["object"]["reason"], event["object"]["code"]) == ("ERROR", "Expired", 410)
    rest = await admin.ask("GET", CLUSTERS, limit="1", **{"continue": page["metadata"]["continue"]})
    assert (rest.code, rest.body["reason"]) == (410, "Expired")


async def test_a_watch_ends_at_its_timeout(admin: Client) -> None:
    async with admin.watch(CLUSTERS, timeoutSeconds="1", resourceVersion="1") as events:
        assert [event async for event in events] == []


async def test_lists_of_built_in_kinds_leave_the_type_off_their_items(admin: Client) -> None:
    await admin.ask("POST", "/api/v1/namespaces/acme/secrets", {"metadata": {"name": "s"}})
    await apply(admin, "orders")
    secrets = (await admin.ask("GET", "/api/v1/namespaces/acme/secrets")).body
    clusters = (await admin.ask("GET", CLUSTERS)).body
    assert (secrets["kind"], secrets["items"][0].get("kind"), clusters["items"][0]["kind"]) == (
        "SecretList",
        None,
        "Cluster",
    )


async def test_a_collection_is_deleted_by_selector(admin: Client) -> None:
    for name, app in (("a", "x"), ("b", "y")):
        body = {"metadata": {"name": name, "labels": {"app": app}}}
        await admin.ask("POST", "/api/v1/namespaces/acme/configmaps", body)
    await admin.ask("DELETE", "/api/v1/namespaces/acme/configmaps", labelSelector="app=x")
    left = (await admin.ask("GET", "/api/v1/namespaces/acme/configmaps")).body
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


async def test_logs_come_from_the_named_file_below_the_state_directory_only(admin: Client, tmp_path: Path) -> None:
    inside, outside = tmp_path / "pod.log", tmp_path.parent / f"{tmp_path.name}.log"
    for path in (inside, outside):
        path.write_text("one\ntwo\n")
    for name, path in (("good", inside), ("bad", outside)):
        metadata = {"name": name, "annotations": {"postern.dev/dev-log-file": str(path)}}
        await admin.ask("POST", "/api/v1/namespaces/acme/pods", {"metadata": metadata, "spec": {"containers": []}})
    assert (await admin.ask("GET", "/api/v1/namespaces/acme/pods/good/log")).body == "one\ntwo\n"
    assert (await admin.ask("GET", "/api/v1/namespaces/acme/pods/good/log", tailLines="1")).body == "two\n"
    assert (await admin.ask("GET", "/api/v1/namespaces/acme/pods/bad/log")).code == 403


async def test_followed_logs_go_on_until_the_pod_is_gone(admin: Client, tmp_path: Path) -> None:
    path = tmp_path / "pod.log"
    path.write_text("one\n")
    metadata = {"name": "p", "annotations": {"postern.dev/dev-log-file": str(path)}}
    await admin.ask("POST", "/api/v1/namespaces/acme/pods", {"metadata": metadata, "spec": {"containers": []}})
    async with admin.session.get("/api/v1/namespaces/acme/pods/p/log", params={"follow": "true"}) as response:
        assert await response.content.readline() == b"one\n"
        with path.open("a") as file:
            file.write("two\n")
        assert await response.content.readline() == b"two\n"
        await admin.ask("DELETE", "/api/v1/namespaces/acme/pods/p")
        assert await response.content.read() == b""


async def test_everything_is_there_after_a_restart_at_the_same_address(tmp_path: Path) -> None:
    async with running_api_server(tmp_path) as first, client_of(first.kubeconfig) as client:
        await client.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "acme"}})
        made = (await apply(client, "orders")).body
        url, kubeconfig = first.url, first.kubeconfig.read_text()
    async with running_api_server(tmp_path) as second, client_of(second.kubeconfig) as client:
        assert (second.url, second.kubeconfig.read_text()) == (url, kubeconfig)
        assert (await client.ask("GET", f"{CLUSTERS}/orders")).body == made


async def test_a_stopping_server_ends_its_watches(tmp_path: Path) -> None:
    async with (
        running_api_server(tmp_path) as server,
        client_of(server.kubeconfig) as client,
        client.watch("/api/v1/pods", resourceVersion="1") as events,
        asyncio.timeout(5),
    ):
        await server.close()
        assert [event async for event in events] == []


async def test_a_certificate_of_our_own_authority_is_shown(server: ApiServer) -> None:
    async with aiohttp.ClientSession() as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get(f"{server.url}/version")
