"""Edits by others are told apart from our own and from the operator's."""

from tests.unit.watcher.making import NOW, Database, cluster, ready_database

from postern_common.contracts.kubernetes import FIELD_MANAGER
from postern_watcher.domain.drift import Drift, find_drift
from postern_watcher.domain.record import advance

RECORD = advance(None, ready_database(), cluster(editor=FIELD_MANAGER), NOW).record


def test_a_spec_edited_without_a_new_generation_names_the_editor() -> None:
    assert find_drift(RECORD, cluster(spec_generation=2, editor="kubectl-edit")) == Drift(
        "kubectl-edit", "the spec was edited"
    )


def test_an_action_annotation_edited_by_hand_is_drift() -> None:
    found = find_drift(RECORD, cluster(marks="other", editor="kubectl-annotate"))
    assert found == Drift("kubectl-annotate", "an annotation or a label of ours was edited")


def test_our_own_writes_are_no_drift() -> None:
    assert find_drift(RECORD, cluster(spec_generation=2, editor=FIELD_MANAGER)) is None
    assert find_drift(RECORD, cluster(spec_generation=2, generation=2, editor="kubectl-edit")) is None


def test_a_new_status_is_no_drift() -> None:
    assert find_drift(RECORD, cluster(phase="Failing over", resource_version="101")) is None


def test_a_cluster_that_is_deleted_by_others_is_drift_once() -> None:
    assert find_drift(RECORD, None) == Drift("unknown", "the cluster was deleted")
    assert find_drift(RECORD, cluster(deleting=True)) == Drift("unknown", "the cluster was deleted")
    database = Database(ready_database())
    database.see(None)
    assert database.observed is not None
    gone = advance(RECORD, database.observed, None, NOW).record
    assert find_drift(gone, None) is None


def test_a_delete_that_we_asked_for_is_no_drift() -> None:
    asked = advance(None, ready_database(goal="deleted"), cluster(goal="deleted"), NOW).record
    assert find_drift(asked, None) is None
    assert find_drift(RECORD, cluster(goal="deleted", deleting=True)) is None


def test_a_cluster_made_again_is_no_edit() -> None:
    assert find_drift(RECORD, cluster(uid="uid-2", spec_generation=7)) is None
    assert find_drift(None, cluster()) is None
