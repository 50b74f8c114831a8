"""Recorded histories of a real CloudNativePG, told to the watcher: what it would announce, story by story.

The fixtures are made by ``tools/build_cnpg_fixtures.py``. Each line is ``state reason generation/observed_generation``.
"""

import pytest
from tests.unit.watcher.replay import FIXTURES, Replay

from postern_common.contracts.states import DatabaseState

STORIES: dict[str, dict[str, list[str]]] = {
    "backup-hibernate-delete-restore": {
        "bad": [
            "failed plugin_failed 1/0",
            "hibernating hibernation_requested 2/0",
            "hibernated hibernation_requested 2/2",
            "deleting deletion_requested 3/3",
            "deleted removed 3/3",
        ],
        "rh": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
    },
    "backup-hibernated-retention": {
        "bad": [
            "provisioning creating 1/0",
            "hibernating hibernation_requested 2/0",
            "hibernated hibernation_requested 2/2",
            "resuming resume_requested 3/2",
            "ready healthy 3/3",
        ],
    },
    "backup-plugin-lifecycle": {
        "late": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "updating applying 2/1",
            "updating rolling 2/1",
            "ready healthy 2/2",
            "updating rolling 2/2",
            "ready healthy 2/2",
            "failed plugin_failed 2/2",
            "failing_over failover 2/2",
            "updating instances_missing 2/2",
            "ready healthy 2/2",
            "updating applying 3/2",
            "updating rolling 3/2",
            "ready healthy 3/3",
        ],
    },
    "backup-setup-ondemand-scheduled": {
        "src": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
    },
    "backup-storage-down": {
        "rlatest": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "rpitr": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "src": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "hibernating hibernation_requested 2/1",
            "hibernated hibernation_requested 2/2",
            "resuming resume_requested 3/2",
            "ready healthy 3/3",
        ],
    },
    "backup-wrong-credentials": {
        "bad": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
    },
    "failing-creates": {
        "bad-image": [
            "provisioning creating 1/0",
            "provisioning image_pull_failed 1/0",
            "deleting deletion_requested 2/0",
            "deleted removed 2/2",
        ],
        "bad-sc": [
            "provisioning creating 1/0",
            "provisioning storage_class_missing 1/0",
            "deleting deletion_requested 2/0",
        ],
        "too-big": [
            "provisioning creating 1/0",
            "provisioning unschedulable 1/0",
            "deleting deletion_requested 2/0",
        ],
        "tiny-mem": [
            "provisioning creating 1/0",
            "deleting deletion_requested 2/0",
        ],
        "lowmem": [
            "provisioning creating 1/0",
            "deleting deletion_requested 2/0",
        ],
    },
    "life-expandable-storage": {
        "pg1": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "failing_over failover 1/1",
            "updating instances_missing 1/1",
            "ready healthy 1/1",
            "updating scaling 2/1",
            "ready healthy 2/2",
            "updating scaling 3/2",
            "ready healthy 3/3",
            "updating scaling 4/3",
            "ready healthy 4/4",
            "updating scaling 5/4",
            "ready healthy 5/5",
            "hibernating hibernation_requested 6/5",
            "hibernated hibernation_requested 6/6",
            "resuming resume_requested 7/6",
            "ready healthy 7/7",
            "updating applying 8/7",
            "ready healthy 8/8",
            "updating applying 9/8",
            "ready healthy 9/9",
            "updating applying 10/9",
            "updating rolling 10/9",
            "updating crash_looping 12/9",
            "updating rolling 13/9",
            "updating applying 13/9",
            "updating rolling 14/9",
            "ready healthy 14/14",
            "deleting deletion_requested 15/14",
            "deleted removed 15/15",
        ],
    },
    "life-fixed-storage": {
        "pg1": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "updating scaling 2/1",
            "ready healthy 2/2",
            "updating scaling 3/2",
            "ready healthy 3/3",
            "failing_over failover 3/3",
            "updating instances_missing 3/3",
            "ready healthy 3/3",
            "updating applying 4/3",
            "failed volume_expansion_refused 4/3",
            "updating scaling 5/3",
            "failed volume_expansion_refused 5/3",
            "deleting deletion_requested 6/3",
            "deleted removed 6/6",
        ],
    },
    "resize-unstick-switchover-rotation": {
        "pg1": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "updating applying 2/1",
            "updating scaling 3/1",
            "failed volume_expansion_refused 3/1",
            "updating scaling 4/1",
            "ready healthy 4/4",
            "updating applying 5/4",
            "failing_over switchover 5/4",
            "ready healthy 5/5",
        ],
    },
    "restart-resources-image-fence-delete-hibernated": {
        "pg6": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "restarting restart_requested 2/1",
            "ready healthy 2/2",
            "updating applying 3/2",
            "ready healthy 3/3",
            "updating rolling 4/3",
            "ready healthy 4/4",
            "updating rolling 5/4",
            "ready healthy 5/5",
            "hibernating hibernation_requested 6/5",
            "hibernated hibernation_requested 6/6",
            "deleting deletion_requested 7/7",
            "deleted removed 7/7",
        ],
    },
    "restore-from-standby-backup": {
        "late": [
            "provisioning creating 1/0",
            "ready healthy 2/2",
        ],
        "rs1": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "rs2": [
            "provisioning creating 1/0",
            "provisioning init_failed 1/0",
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
    },
    "restore-latest-pitr-failing": {
        "src": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "rlatest": [
            "provisioning creating 1/0",
            "provisioning init_failed 1/0",
            "deleting deletion_requested 2/0",
            "deleted removed 2/2",
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "rpitr": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
        ],
        "rearly": [
            "provisioning creating 1/0",
            "provisioning init_failed 1/0",
            "deleting deletion_requested 2/0",
            "deleted removed 2/2",
        ],
        "rfuture": [
            "provisioning creating 1/0",
            "provisioning init_failed 1/0",
            "deleting deletion_requested 2/0",
            "deleted removed 2/2",
        ],
    },
    "roles-and-pooler": {
        "r9a": [
            "provisioning creating 1/0",
            "ready healthy 1/1",
            "hibernating hibernation_requested 2/1",
            "resuming resume_requested 3/1",
            "deleting deletion_requested 4/1",
        ],
    },
}


@pytest.mark.parametrize("story", sorted(STORIES))
async def test_every_story_is_told_as_it_happened(story: str) -> None:
    replay = await Replay().tell(story)
    assert {name: replay.told(name) for name in replay.transitions} == STORIES[story]


def test_every_recorded_story_is_told() -> None:
    assert {path.stem for path in FIXTURES.glob("*.jsonl")} == set(STORIES)


@pytest.mark.parametrize("story", sorted(STORIES))
async def test_nobody_else_is_blamed_for_what_was_asked(story: str) -> None:
    assert (await Replay().tell(story)).drifts == []


@pytest.mark.parametrize("story", sorted(STORIES))
async def test_without_a_new_request_no_state_is_left_and_entered_again_within_two_seconds(story: str) -> None:
    replay = await Replay().tell(story)
    for transitions in replay.transitions.values():
        changes = [(at, t.record.observed) for at, t in transitions if t.changed]
        for (at, left), _, (back_at, back) in zip(changes, changes[1:], changes[2:], strict=False):
            flapped = back.state is left.state and back.generation == left.generation and back_at - at < 2
            assert not flapped, f"{left.state} at {at:.2f} s and again at {back_at:.2f} s"


@pytest.mark.parametrize("story", sorted(STORIES))
async def test_ready_is_only_said_of_the_generation_in_sight_when_it_is_observed(story: str) -> None:
    replay = await Replay().tell(story)
    for transitions in replay.transitions.values():
        for _, transition in transitions:
            seen = transition.record.observed
            if seen.state is DatabaseState.READY:
                assert seen.observed_generation == seen.generation


@pytest.mark.parametrize("story", sorted(STORIES))
async def test_events_chain_by_revision_and_state(story: str) -> None:
    replay = await Replay().tell(story)
    for transitions in replay.transitions.values():
        by_database: dict[str, list[tuple[int, str | None, str]]] = {}
        for _, t in transitions:
            told = (t.record.revision, t.from_state, t.record.observed.state)
            by_database.setdefault(t.record.database_id, []).append(told)
        for chain in by_database.values():
            assert [revision for revision, _, _ in chain] == list(range(1, len(chain) + 1))
            assert [before for _, before, _ in chain] == [None, *(after for _, _, after in chain[:-1])]


async def test_a_failover_is_told_at_once_and_ends_with_another_primary() -> None:
    replay = await Replay().tell("life-expandable-storage")
    told = replay.transitions["pg1"]
    failing = next(at for at, t in told if t.record.observed.state is DatabaseState.FAILING_OVER)
    assert failing == pytest.approx(93.27, abs=0.02), "with the operator's own first word of it"
    primaries = [t.record.observed.primary for at, t in told if 90 < at < 106]
    assert primaries[0] == "pg1-1"
    assert primaries[-1] == "pg1-2"


async def test_a_restart_of_three_instances_is_one_state_from_the_request_to_the_end() -> None:
    replay = await Replay().tell("restart-resources-image-fence-delete-hibernated")
    changes = [(at, t.record.observed.state) for at, t in replay.transitions["pg6"] if t.changed]
    begin = next(at for at, state in changes if state is DatabaseState.RESTARTING)
    end = next(at for at, state in changes if at > begin)
    assert end - begin > 35


async def test_what_happens_is_attributed_to_the_open_operation_only() -> None:
    replay = await Replay().tell("life-expandable-storage")
    told = replay.transitions["pg1"]
    creation = told[0][1].operation
    assert creation is not None
    ready = next(t for _, t in told if t.record.observed.state is DatabaseState.READY)
    assert ready.operation is not None
    assert ready.operation.id == creation.id
    failover = next(t for _, t in told if t.record.observed.state is DatabaseState.FAILING_OVER)
    assert failover.operation is None
    assert failover.last_operation is not None
    assert failover.last_operation.id == creation.id
