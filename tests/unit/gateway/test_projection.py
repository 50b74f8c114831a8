"""The API's state as a table (semantics 12)."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from postern_common.contracts.events import Observation
from postern_common.contracts.states import DatabaseState as S
from postern_common.contracts.states import OperationStatus, OperationType, Phase
from postern_gateway.domain.projection import Intent, project
from postern_gateway.domain.records import LastObserved, OperationError, OperationRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=1)


def seen(state: S, observed_generation: int, reason: str = "as_seen") -> LastObserved:
    return LastObserved(1, state, reason, "words", observed_generation, observed_generation, Observation())


def operation(kind: str, status: str, code: str = "", *, retryable: bool = False) -> OperationRecord:
    return OperationRecord(
        id=ID,
        type=OperationType(kind),
        project_id=ID,
        project="acme",
        database_id=ID,
        database="orders",
        generation=2,
        status=OperationStatus(status),
        goal="ready",
        deadline=NOW,
        storage=1,
        created_by="x",
        created_at=NOW,
        phases=((Phase.ACCEPTED, NOW),),
        error=OperationError(code, "why", retryable) if code else None,
    )


OPEN = operation("update", "running")
FAILED = operation("update", "failed", "manifest_rejected")
YOUNG, GROWN = Intent(2), Intent(2, ever_ready=True)

TABLE = [
    ("deleted is told to whoever waited", Intent(2, True, True, NOW), seen(S.READY, 2), OPEN, S.DELETED, "removed"),
    ("delete wins over everything", Intent(2, True), seen(S.FAILED, 2), OPEN, S.DELETING, "deletion_requested"),
    ("a delete that failed is still a delete", Intent(2, True), None, FAILED, S.DELETING, "deletion_requested"),
    ("never seen", YOUNG, None, OPEN, S.REQUESTED, "creating"),
    ("never seen, refused", YOUNG, None, FAILED, S.FAILED, "manifest_rejected"),
    (
        "never seen, out of time",
        YOUNG,
        None,
        operation("create", "failed", "deadline_exceeded", retryable=True),
        S.REQUESTED,
        "deadline_exceeded",
    ),
    *[
        (f"{state} is told as seen", GROWN, seen(state, 1), OPEN, state, "as_seen")
        for state in (S.FAILED, S.UNAVAILABLE, S.FAILING_OVER, S.DEGRADED, S.RESTARTING, S.UPGRADING)
    ],
    ("removed by somebody else", GROWN, seen(S.DELETED, 2), OPEN, S.UNAVAILABLE, "vanished"),
    ("going away unasked", GROWN, seen(S.DELETING, 2, "vanished"), None, S.UNAVAILABLE, "vanished"),
    ("on its way", GROWN, seen(S.READY, 1), OPEN, S.UPDATING, "applying"),
    ("on its way, as seen", GROWN, seen(S.UPDATING, 1), OPEN, S.UPDATING, "as_seen"),
    ("hibernating", GROWN, seen(S.READY, 1), operation("hibernate", "pending"), S.HIBERNATING, "hibernation_requested"),
    ("resuming", GROWN, seen(S.HIBERNATED, 1), operation("resume", "running"), S.RESUMING, "resume_requested"),
    ("restarting", GROWN, seen(S.READY, 1), operation("restart", "running"), S.RESTARTING, "restart_requested"),
    ("switching over", GROWN, seen(S.READY, 1), operation("switchover", "running"), S.UPDATING, "applying"),
    ("changed before it was ever ready", YOUNG, seen(S.READY, 1), OPEN, S.PROVISIONING, "creating"),
    ("being made", YOUNG, seen(S.PROVISIONING, 0, "unschedulable"), OPEN, S.PROVISIONING, "unschedulable"),
    *[
        (
            f"{kind} of what cannot be made",
            YOUNG,
            seen(state, 1, cause),
            operation(kind, "running"),
            S.PROVISIONING,
            cause,
        )
        for kind, state, cause in (
            ("resume", S.RESUMING, "storage_class_missing"),
            ("resume", S.RESUMING, "unschedulable"),
            ("update", S.UPDATING, "image_pull_failed"),
            ("update", S.PROVISIONING, "image_pull_failed"),
        )
    ],
    ("never was ready, failed", YOUNG, seen(S.PROVISIONING, 1), FAILED, S.FAILED, "manifest_rejected"),
    ("what failed is not there", GROWN, seen(S.READY, 1), FAILED, S.DEGRADED, "manifest_rejected"),
    *[
        (f"what failed while it is {state}", GROWN, seen(state, 1), FAILED, state, "manifest_rejected")
        for state in (S.HIBERNATING, S.HIBERNATED, S.RESUMING)
    ],
    ("failed after its cluster vanished", GROWN, seen(S.PROVISIONING, 1), FAILED, S.FAILED, "manifest_rejected"),
    ("what failed and came true later", GROWN, seen(S.READY, 2), FAILED, S.READY, "as_seen"),
    ("there", GROWN, seen(S.READY, 2), operation("update", "succeeded"), S.READY, "as_seen"),
    ("asleep", GROWN, seen(S.HIBERNATED, 2), operation("hibernate", "succeeded"), S.HIBERNATED, "as_seen"),
]


@pytest.mark.parametrize(
    ("why", "intent", "observed", "newest", "state", "reason"), TABLE, ids=[row[0] for row in TABLE]
)
def test_the_state_follows_the_table(  # noqa: PLR0917
    why: str, intent: Intent, observed: LastObserved, newest: OperationRecord, state: S, reason: str
) -> None:
    result = project(intent, observed, newest)
    assert (result.state, result.reason) == (state, reason)
    assert result.message


@pytest.mark.parametrize("status", list(OperationStatus))
@pytest.mark.parametrize("kind", list(OperationType))
def test_ready_is_never_said_while_a_generation_is_on_its_way_or_failed(
    kind: OperationType, status: OperationStatus
) -> None:
    newest = operation(kind.value, status.value, "x" if status is OperationStatus.FAILED else "")
    if status.is_open or status is OperationStatus.FAILED:
        assert project(GROWN, seen(S.READY, 1), newest).state is not S.READY
