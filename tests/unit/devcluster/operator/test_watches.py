"""What of all that the API server tells makes the operator look at a cluster again."""

from typing import Any

import msgspec

from postern_common.kube.watch import ChangeType
from postern_devcluster.operator.watches import (
    ClusterSink,
    MemberSink,
    PasswordSink,
    WatchedCluster,
    WatchedItem,
    WatchedSecret,
)

KEY = ("team", "pg")


def cluster(**changes: Any) -> WatchedCluster:
    metadata = {"namespace": "team", "name": "pg", "uid": "1", "generation": 1, **changes.pop("metadata", {})}
    return msgspec.convert({"metadata": metadata, "status": changes}, WatchedCluster)


class Heard:
    """Records calls."""

    def __init__(self) -> None:
        self.changed: list[Any] = []
        self.gone: list[Any] = []
        self.lists: list[set[str]] = []

    async def first_list(self, uids: set[str]) -> None:
        self.lists.append(uids)

    def sink(self) -> ClusterSink:
        return ClusterSink(self.changed.append, self.gone.append, self.first_list)


async def test_a_status_that_the_operator_wrote_itself_is_no_news() -> None:
    heard = Heard()
    sink = heard.sink()
    await sink.changed(ChangeType.ADDED, cluster())
    await sink.changed(ChangeType.MODIFIED, cluster(phase="Setting up primary"))
    assert heard.changed == [KEY]


async def test_spec_annotations_and_target_primary_are_news() -> None:
    heard = Heard()
    sink = heard.sink()
    await sink.changed(ChangeType.ADDED, cluster())
    await sink.changed(ChangeType.MODIFIED, cluster(metadata={"generation": 2}))
    await sink.changed(ChangeType.MODIFIED, cluster(metadata={"generation": 2, "annotations": {"a": "b"}}))
    await sink.changed(
        ChangeType.MODIFIED, cluster(metadata={"generation": 2, "annotations": {"a": "b"}}, targetPrimary="pg-2")
    )
    assert heard.changed == [KEY] * 4


async def test_a_cluster_deleted_while_nobody_watched_is_found_by_the_next_list() -> None:
    heard = Heard()
    sink = heard.sink()
    for objects in ([cluster()], []):
        await sink.list_started()
        await sink.listed(objects)
        await sink.list_completed()
    assert heard.gone == [KEY]
    assert heard.lists == [{"1"}], "orphans are swept once, before anything else happens"


async def test_a_cluster_made_again_under_its_name_cuts_off_work_on_the_old_one() -> None:
    heard = Heard()
    sink = heard.sink()
    await sink.changed(ChangeType.ADDED, cluster())
    await sink.changed(ChangeType.MODIFIED, cluster(metadata={"uid": "2"}))
    assert heard.gone == [KEY]


async def test_only_the_disappearance_of_a_pod_is_news() -> None:
    vanished: list[Any] = []
    sink = MemberSink(vanished.append)
    meta = {"namespace": "team", "name": "pg-1", "uid": "p", "labels": {"cnpg.io/cluster": "pg"}}
    pod = msgspec.convert({"metadata": meta}, WatchedItem)
    await sink.changed(ChangeType.ADDED, pod)
    await sink.changed(ChangeType.MODIFIED, pod)
    assert vanished == []
    await sink.changed(ChangeType.DELETED, pod)
    assert vanished == [KEY]


def member(name: str, cluster: str = "pg") -> WatchedItem:
    meta = {"namespace": "team", "name": name, "uid": name, "labels": {"cnpg.io/cluster": cluster}}
    return msgspec.convert({"metadata": meta}, WatchedItem)


async def test_the_names_of_a_clusters_pods_are_known_once_the_first_list_is_complete() -> None:
    sink = MemberSink(lambda _: None)
    await sink.list_started()
    await sink.listed([member("pg-1"), member("other-1", "other")])
    assert sink.names(KEY) is None
    await sink.list_completed()
    assert sink.names(KEY) == frozenset({"pg-1"})
    await sink.changed(ChangeType.ADDED, member("pg-2"))
    assert sink.names(KEY) == frozenset({"pg-1", "pg-2"})
    await sink.changed(ChangeType.DELETED, member("pg-1"))
    assert sink.names(KEY) == frozenset({"pg-2"})
    await sink.changed(ChangeType.DELETED, member("pg-2"))
    assert sink.names(KEY) == frozenset()
    await sink.list_started()
    await sink.listed([member("pg-3")])
    await sink.list_completed()
    assert sink.names(KEY) == frozenset({"pg-3"})
    assert sink.names(("team", "other")) == frozenset()


async def test_a_password_is_news_once() -> None:
    heard: list[Any] = []
    sink = PasswordSink(heard.append)
    meta = {"namespace": "team", "name": "pg-app", "uid": "s", "labels": {"cnpg.io/cluster": "pg"}}
    secret = msgspec.convert({"metadata": meta, "data": {"password": "cHc="}}, WatchedSecret)
    await sink.listed([secret])
    await sink.changed(ChangeType.MODIFIED, secret)
    assert heard == [KEY]
    assert sink.passwords[KEY] == "pw"
