"""State over restarts, history, pages and watches."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from postern_devcluster.apiserver import history
from postern_devcluster.apiserver.journal import StateDirectoryBusyError
from postern_devcluster.apiserver.kinds import SECRETS
from postern_devcluster.apiserver.reads import ListQuery, Selection, list_page
from postern_devcluster.apiserver.selectors import label_selector
from postern_devcluster.apiserver.status import ApiError
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.watching import OpenWatches, WatchQuery, watch


def secret(name: str, namespace: str = "a", **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": name, "labels": labels}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": metadata}


def names(store: ObjectStore, **query: Any) -> list[str]:
    return [stored.object["metadata"]["name"] for stored in store.page(SECRETS, **query)]


@pytest.fixture
def reopen(tmp_path: Path) -> Any:
    opened: list[ObjectStore] = []

    def again() -> ObjectStore:
        for store in opened:
            store.close()
        opened[:] = [ObjectStore(tmp_path)]
        return opened[0]

    yield again
    for store in opened:
        store.close()


def test_objects_and_versions_survive_a_restart(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    store.put(SECRETS, secret("x"))
    gone = store.put(SECRETS, secret("y")).object
    store.remove(SECRETS, gone)
    version = store.version
    store = reopen()
    assert names(store) == ["x"]
    assert store.version == version
    assert store.put(SECRETS, secret("z")).version == version + 1


def test_a_snapshot_holds_what_the_log_held(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    store.put(SECRETS, secret("x"))
    store.compact()
    store.put(SECRETS, secret("y"))
    store = reopen()
    assert names(store) == ["x", "y"]


def test_a_torn_last_line_is_forgotten(reopen: Callable[[], ObjectStore], tmp_path: Path) -> None:
    store = reopen()
    store.put(SECRETS, secret("x"))
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"v":99,"r":"secrets","t":"ADD')
    store = reopen()
    assert names(store) == ["x"]
    store.put(SECRETS, secret("y"))
    assert names(reopen()) == ["x", "y"]


def test_one_directory_has_one_server(tmp_path: Path) -> None:
    store = ObjectStore(tmp_path)
    with pytest.raises(StateDirectoryBusyError):
        ObjectStore(tmp_path)
    store.close()


def test_history_outlives_a_restart_so_that_watches_go_on(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    version = store.put(SECRETS, secret("x")).version
    store.put(SECRETS, secret("y"))
    store = reopen()
    assert [event.key[1] for event in store.history(SECRETS).since(version)] == ["y"]


def test_old_versions_expire(reopen: Callable[[], ObjectStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT_EVENTS", 2)
    store = reopen()
    versions = [store.put(SECRETS, secret(str(index))).version for index in range(4)]
    assert len(store.history(SECRETS).since(versions[1])) == 2
    with pytest.raises(ApiError) as refused:
        store.history(SECRETS).since(versions[0])
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_pages_show_one_moment_whatever_happens_between_them(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    for name in "abcd":
        store.put(SECRETS, secret(name))
    selection = Selection(SECRETS)
    first = list_page(store, selection, ListQuery(limit=2))
    assert first.metadata["remainingItemCount"] == 2
    store.put(SECRETS, secret("bb"))
    store.put(SECRETS, secret("cc"))
    gone = store.get(SECRETS, ("a", "d"))
    assert gone is not None
    store.remove(SECRETS, {**gone.object, "metadata": dict(gone.object["metadata"])})
    second = list_page(store, selection, ListQuery(limit=2, continue_token=first.metadata["continue"]))
    assert [stored.object["metadata"]["name"] for stored in second.items] == ["c", "d"]
    assert second.metadata["resourceVersion"] == first.metadata["resourceVersion"]
    assert "continue" not in second.metadata


def test_a_continue_token_expires_with_its_version(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    for name in "abc":
        store.put(SECRETS, secret(name))
    token = list_page(store, Selection(SECRETS), ListQuery(limit=1)).metadata["continue"]
    store.put(SECRETS, secret("d"))
    store.compact()
    with pytest.raises(ApiError) as refused:
        list_page(store, Selection(SECRETS), ListQuery(limit=1, continue_token=token))
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_a_version_of_the_future_is_refused(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    with pytest.raises(ApiError, match="Too large resource version") as refused:
        list_page(store, Selection(SECRETS), ListQuery(resource_version="999"))
    assert refused.value.code == 504


def test_one_namespace_is_listed_alone(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    for namespace in ("a", "b", "c"):
        store.put(SECRETS, secret("x", namespace))
    assert [stored.object["metadata"]["namespace"] for stored in store.page(SECRETS, namespace="b")] == ["b"]


async def collect(store: ObjectStore, selection: Selection, query: WatchQuery, count: int) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    lines = watch(store, OpenWatches(), selection, query, lambda stored: stored.raw)
    async for chunk in lines:
        for line in chunk.splitlines():
            event = msgspec.json.decode(line)
            seen.append((event["type"], event["object"].get("metadata", {}).get("name", event["object"].get("reason"))))
        if len(seen) >= count:
            break
    await lines.aclose()
    return seen


async def test_a_watch_without_a_version_begins_with_what_is_there(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    store.put(SECRETS, secret("x"))
    assert await collect(store, Selection(SECRETS), WatchQuery(), 1) == [("ADDED", "x")]


async def test_a_watch_from_a_version_shows_what_came_after(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    version = store.put(SECRETS, secret("x")).version
    body = store.put(SECRETS, secret("x", more="1")).object
    store.remove(SECRETS, {**body, "metadata": dict(body["metadata"])})
    seen = await collect(store, Selection(SECRETS), WatchQuery(version=version), 2)
    assert seen == [("MODIFIED", "x"), ("DELETED", "x")]


async def test_a_watch_from_an_expired_version_is_told_so(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    version = store.put(SECRETS, secret("x")).version
    store.put(SECRETS, secret("x", more="1"))
    store.compact()
    assert await collect(store, Selection(SECRETS), WatchQuery(version=version), 1) == [("ERROR", "Expired")]


async def test_objects_enter_and_leave_a_selection(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    start = store.put(SECRETS, secret("x", app="no")).version
    for value in ("yes", "yes", "no"):
        store.put(SECRETS, secret("x", app=value))
    selection = Selection(SECRETS, predicate=label_selector("app=yes"))
    seen = await collect(store, selection, WatchQuery(version=start), 3)
    assert [event for event, _ in seen] == ["ADDED", "MODIFIED", "DELETED"]


async def test_events_reach_a_waiting_watch_and_a_stop_ends_it(reopen: Callable[[], ObjectStore]) -> None:
    store = reopen()
    store.put(SECRETS, secret("w"))
    watches = OpenWatches()
    lines = watch(store, watches, Selection(SECRETS), WatchQuery(version=store.version), lambda stored: stored.raw)
    async with asyncio.TaskGroup() as tasks:
        pending = tasks.create_task(anext(lines))
        await asyncio.sleep(0)
        assert watches.watchers
        store.put(SECRETS, secret("x"))
        assert b'"ADDED"' in await pending
        watches.stop()
    assert [line async for line in lines] == []


async def test_a_bookmark_tells_the_newest_version(
    reopen: Callable[[], ObjectStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postern_devcluster.apiserver.watching.BOOKMARK_SECONDS", 0.001)
    store = reopen()
    store.put(SECRETS, secret("x"))
    lines = watch(store, OpenWatches(), Selection(SECRETS), WatchQuery(store.version, bookmarks=True), lambda s: s.raw)
    event = msgspec.json.decode(await anext(lines))
    await lines.aclose()
    assert event["type"] == "BOOKMARK"
    assert event["object"]["metadata"]["resourceVersion"] == str(store.version)
