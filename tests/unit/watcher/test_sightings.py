"""What is kept in memory, what is reported, and what a whole list says about what it does not hold."""

from tests.unit.watcher.making import NOW, cluster, new_database, pod, warning

from postern_common.kube.watch import ChangeType
from postern_watcher.domain.facts import PodFacts
from postern_watcher.domain.record import advance
from postern_watcher.observers.sinks import ClusterSink, OwnedSink
from postern_watcher.services.sightings import ORPHAN_SECONDS, Sightings
from postern_watcher.storage.wire import Owned

KEY = "postern-acme/orders-1a2b3c"


class Desk:
    """Sightings with a clock to turn and a note of every report."""

    def __init__(self) -> None:
        self.now = NOW
        self.reported: list[str] = []
        self.sightings = Sightings(self.reported.append, lambda: self.now)


def test_a_pod_seen_before_its_cluster_is_there_when_the_cluster_comes() -> None:
    desk = Desk()
    desk.sightings.see_owned(KEY, pod(1))
    assert desk.reported == []
    desk.sightings.see_cluster(cluster())
    assert desk.reported == [KEY]
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert list(entry.pods) == ["orders-1a2b3c-1"]


def test_pods_of_clusters_that_are_not_ours_do_not_pile_up() -> None:
    desk = Desk()
    for number in range(100):
        desk.sightings.see_owned(f"other/cluster-{number}", pod(1))
    desk.sightings.see_owned(KEY, pod(1))
    desk.sightings.see_cluster(cluster())
    desk.now += ORPHAN_SECONDS + 1
    desk.sightings.forget_orphans()
    assert list(desk.sightings) == [KEY]


def test_the_last_pod_of_an_unknown_cluster_takes_its_entry_along() -> None:
    desk = Desk()
    desk.sightings.see_owned(KEY, pod(1))
    desk.sightings.lose_owned(KEY, pod(1))
    assert len(desk.sightings) == 0


def test_a_warning_finds_the_cluster_by_the_name_of_its_object() -> None:
    desk = Desk()
    desk.sightings.see_cluster(cluster())
    for name in ("orders-1a2b3c", "orders-1a2b3c-1", "orders-1a2b3c-1-initdb-x7k2p", "orders-9z9z9z-1", "orders"):
        desk.sightings.see_warning("postern-acme", warning("Failed", name, "m"))
    desk.sightings.see_warning("elsewhere", warning("Failed", "orders-1a2b3c-1", "m"))
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert [w.name for w in entry.warnings] == ["orders-1a2b3c", "orders-1a2b3c-1", "orders-1a2b3c-1-initdb-x7k2p"]


def test_of_many_warnings_the_newest_few_are_kept_once_each() -> None:
    desk = Desk()
    desk.sightings.see_cluster(cluster())
    for number in range(20):
        desk.sightings.see_warning("postern-acme", warning(f"R{number % 10}", "orders-1a2b3c-1", f"m{number}"))
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert [w.message for w in entry.warnings] == [f"m{number}" for number in range(12, 20)]


async def test_what_a_whole_list_does_not_hold_is_gone_and_only_then() -> None:
    desk = Desk()
    completed: list[bool] = []
    sink = ClusterSink(desk.sightings, lambda: completed.append(True))
    other = cluster(name="billing-4d5e6f", database_id="01890a5d-ac96-774b-bcce-b30209000003")
    for facts in (cluster(), other):
        await sink.changed(ChangeType.ADDED, facts)
    desk.sightings.remember(advance(None, new_database(), cluster(), NOW).record)
    desk.reported.clear()
    await sink.list_started()
    await sink.listed([other])
    assert desk.reported == ["postern-acme/billing-4d5e6f"]
    await sink.list_completed()
    assert desk.reported[-1] == KEY
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert entry.cluster is None
    assert completed == [True]


async def test_a_list_that_breaks_off_takes_nothing_away() -> None:
    desk = Desk()
    sink = ClusterSink(desk.sightings, lambda: None)
    await sink.changed(ChangeType.ADDED, cluster())
    await sink.list_started()
    await sink.list_started()
    await sink.listed([cluster()])
    await sink.list_completed()
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert entry.cluster is not None


async def test_pods_that_a_list_does_not_hold_are_gone_and_volumes_are_not_touched() -> None:
    desk = Desk()
    sink = OwnedSink(desk.sightings, PodFacts, lambda: None)
    desk.sightings.see_cluster(cluster())
    for number in (1, 2):
        await sink.changed(ChangeType.ADDED, Owned("postern-acme", "orders-1a2b3c", pod(number)))
    await sink.list_started()
    await sink.listed([Owned("postern-acme", "orders-1a2b3c", pod(2))])
    await sink.list_completed()
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert list(entry.pods) == ["orders-1a2b3c-2"]
    await sink.changed(ChangeType.DELETED, Owned("postern-acme", "orders-1a2b3c", pod(2)))
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert entry.pods == {}


async def test_a_cluster_without_identity_is_ignored() -> None:
    desk = Desk()
    sink = ClusterSink(desk.sightings, lambda: None)
    await sink.changed(ChangeType.ADDED, cluster(database_id="not-a-uuid"))
    await sink.changed(ChangeType.ADDED, cluster(project_id=""))
    assert len(desk.sightings) == 0


async def test_a_known_cluster_keeps_its_identity_when_somebody_takes_its_labels_away() -> None:
    desk = Desk()
    sink = ClusterSink(desk.sightings, lambda: None)
    await sink.changed(ChangeType.ADDED, cluster())
    desk.sightings.remember(advance(None, new_database(), cluster(), NOW).record)
    bare = {"database_id": "", "project_id": "", "project": "", "database": ""}
    await sink.changed(ChangeType.MODIFIED, cluster(**bare, phase="Failing over"))
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert entry.cluster == cluster(phase="Failing over")
    await sink.changed(ChangeType.MODIFIED, cluster(**bare, uid="uid-2", phase="Setting up primary"))
    entry = desk.sightings.get(KEY)
    assert entry is not None
    assert entry.cluster == cluster(phase="Failing over")


def test_an_idle_cluster_costs_little_memory() -> None:
    desk = Desk()
    desk.sightings.see_cluster(cluster(traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    desk.sightings.remember(advance(None, new_database(), cluster(), NOW).record)
    for number in (1, 2):
        desk.sightings.see_owned(KEY, pod(number))
    assert len(desk.sightings._entries[KEY]) < 600
