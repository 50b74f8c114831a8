"""Events move databases and operations, whatever the order in which they come and however often."""

import asyncio

import pytest
from sqlalchemy import text
from tests.integration.gateway.conftest import (
    Gateway,
    applied,
    apply_failed,
    event_of,
    received,
    removed,
    seen,
)
from tests.integration.gateway.test_refusals import DATABASES
from tests.support.polling import eventually

from postern_common.contracts.broker import COMMANDS_EXCHANGE, EVENTS_EXCHANGE
from postern_common.contracts.cloudevent import build_event, encode
from postern_common.contracts.commands import ApplyDatabase, SwitchoverDatabase
from postern_common.contracts.events import ActionActor, ApiAction
from postern_common.contracts.identifiers import new_id
from postern_common.errors import PoisonError
from postern_common.persistence import SentMessage
from postern_gateway.storage.operations import mark_published


async def test_the_ledger_gets_the_same_command_with_the_same_id(gateway: Gateway) -> None:
    database = await gateway.create()
    rows = await gateway.outbox()
    (to_ledger, copy), (to_provisioner, command), (_, action) = rows
    assert (to_ledger, to_provisioner) == (EVENTS_EXCHANGE, COMMANDS_EXCHANGE)
    assert command == copy
    payload = command.payload(ApplyDatabase)
    assert (payload.generation, payload.goal, payload.cluster_name) == (
        1,
        "ready",
        f"orders-{database['id'].replace('-', '')[-6:]}",
    )
    assert str(command.operationid) == database["operation"]["id"]
    assert action.subject == command.subject == database["id"]


async def test_goal_and_applied_complete_an_operation_in_either_order(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(seen(database, 1, "ready"))
    assert (await gateway.get())["operation"]["status"] == "pending"
    await gateway.tell(applied(database))
    done = await gateway.get()
    assert done["operation"]["status"] == "succeeded"
    assert done["operation"]["finished_at"] is not None


async def test_a_redelivered_event_has_no_second_effect(gateway: Gateway) -> None:
    database = await gateway.create()
    event = await gateway.tell(seen(database, 1, "provisioning", observed_generation=0))
    before = await gateway.client.get(f"{DATABASES}/orders")
    await gateway.parts.projection.apply(event)
    await asyncio.gather(*(gateway.parts.projection.apply(event) for _ in range(5)))
    after = await gateway.client.get(f"{DATABASES}/orders")
    assert after.headers["etag"] == before.headers["etag"]


async def test_an_older_revision_that_comes_late_is_ignored(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(applied(database))
    await gateway.tell(seen(database, 3, "ready"))
    await gateway.tell(seen(database, 2, "provisioning", observed_generation=0))
    await gateway.tell(seen(database, 3, "failed", reason="init_failed"))
    assert (await gateway.get())["state"] == "ready"


async def test_a_create_that_is_refused_for_good_fails_at_once(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(apply_failed(database, "kubernetes_unavailable", retryable=True))
    assert (await gateway.get())["state"] == "requested"
    await gateway.tell(apply_failed(database, "manifest_rejected", retryable=False))
    now = await gateway.get()
    assert (now["state"], now["state_reason"]) == ("failed", "manifest_rejected")
    assert now["operation"]["error"] == {"code": "manifest_rejected", "detail": "in words", "retryable": False}


async def test_a_final_failure_that_was_seen_fails_the_operation_with_its_reason(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(seen(database, 1, "failed", reason="out_of_memory", observed_generation=0))
    now = await gateway.get()
    assert (now["state"], now["operation"]["error"]["code"]) == ("failed", "out_of_memory")


async def test_a_newer_write_supersedes_and_the_state_is_never_ready_too_early(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    patched = (await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2})).json()
    assert (patched["state"], patched["generation"]) == ("updating", 2)
    again = (await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 3})).json()
    first = await gateway.operation(patched["operation"]["id"])
    assert (first["status"], again["operation"]["status"]) == ("superseded", "pending")
    # a late word about the superseded generation does not make it ready
    await gateway.tell(seen(again, 2, "ready", generation=2, observed_generation=2))
    assert (await gateway.get())["state"] == "updating"
    await gateway.make_ready(again, 3)
    assert (await gateway.get())["state"] == "ready"
    assert (await gateway.operation(again["operation"]["id"]))["status"] == "succeeded"


async def test_a_generation_that_nobody_asked_for_proves_nothing(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    await gateway.tell(seen(database, 2, "ready", generation=99, observed_generation=99))
    assert (await gateway.get())["observed_generation"] == 1
    patched = (await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2})).json()
    assert patched["state"] == "updating"
    await gateway.tell(apply_failed(patched, "apply_conflict", retryable=False))
    assert (await gateway.get())["state"] == "degraded"


async def test_a_cluster_that_somebody_deleted_is_shown_so_until_a_change_makes_a_new_one(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    await gateway.tell(seen(database, 2, "deleting", reason="vanished"))
    assert (await gateway.get())["state"] == "unavailable"
    await gateway.tell(seen(database, 3, "deleted", reason="vanished"))
    now = await gateway.get()
    assert (now["state"], now["state_reason"]) == ("unavailable", "vanished")
    assert "DELETE" in now["state_message"]
    assert "empty" in now["state_message"]
    for action in ("restart", "hibernate", "resume", "reload"):
        refused = await gateway.client.post(f"{DATABASES}/orders/actions/{action}")
        assert (refused.status_code, refused.json()["code"]) == (409, "invalid_state")

    changed = await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2})

    assert (changed.status_code, changed.json()["state"]) == (202, "unavailable")
    await gateway.tell(seen(changed.json(), 4, "provisioning", observed_generation=1))
    assert (await gateway.get())["state"] == "provisioning"


async def test_hibernate_and_resume_end_at_their_goals(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    action = f"{DATABASES}/orders/actions"
    asleep = (await gateway.client.post(f"{action}/hibernate")).json()
    assert (asleep["state"], asleep["hibernated"]) == ("hibernating", True)
    repeated = await gateway.client.post(f"{action}/hibernate")
    assert (repeated.status_code, repeated.json()["operation"]["id"]) == (200, asleep["operation"]["id"])
    await gateway.tell(applied(asleep))
    await gateway.tell(seen(asleep, 2, "hibernated"))
    now = await gateway.get()
    assert (now["state"], now["operation"]["status"]) == ("hibernated", "succeeded")
    # a change while hibernated is stored; its goal is hibernated (semantics 16)
    changed = (await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2})).json()
    await gateway.tell(applied(changed))
    await gateway.tell(seen(changed, 3, "hibernated"))
    assert (await gateway.get())["operation"]["status"] == "succeeded"
    awake = (await gateway.client.post(f"{action}/resume")).json()
    assert awake["state"] == "resuming"
    await gateway.make_ready(awake, 4)
    assert (await gateway.get())["operation"]["status"] == "succeeded"


async def test_a_resume_that_failed_leaves_it_asleep(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    action = f"{DATABASES}/orders/actions"
    asleep = (await gateway.client.post(f"{action}/hibernate")).json()
    await gateway.tell(applied(asleep))
    await gateway.tell(seen(asleep, 2, "hibernated"))
    resumed = (await gateway.client.post(f"{action}/resume")).json()
    await gateway.tell(apply_failed(resumed, "admission_denied", retryable=False))

    now = await gateway.get()
    assert (now["state"], now["state_reason"]) == ("hibernated", "admission_denied")
    assert (await gateway.client.post(f"{action}/restart")).status_code == 409
    assert (await gateway.client.post(f"{action}/resume")).json()["operation"]["status"] == "pending"


async def test_a_hibernation_that_a_failed_change_took_over_can_be_asked_for_again(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    action = f"{DATABASES}/orders/actions"
    assert (await gateway.client.post(f"{action}/hibernate")).status_code == 202
    patched = (await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 3})).json()
    on_its_way = await gateway.client.post(f"{action}/hibernate")
    assert on_its_way.json()["operation"]["id"] == patched["operation"]["id"]
    await gateway.tell(apply_failed(patched, "admission_denied", retryable=False))

    again = await gateway.client.post(f"{action}/hibernate")

    assert again.status_code == 200
    assert (again.json()["operation"]["type"], again.json()["operation"]["status"]) == ("hibernate", "pending")


async def test_a_growth_that_was_overtaken_but_happened_cannot_be_taken_back(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    grown = (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "40Gi"})).json()
    back = await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "20Gi"})
    assert back.status_code == 202
    await gateway.tell(apply_failed(back.json(), "admission_denied", retryable=False))
    await gateway.tell(seen(grown, 2, "ready", generation=2, observed_generation=2, storage="41Gi"))

    refused = await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "30Gi"})

    assert (refused.status_code, refused.json()["code"]) == (422, "storage_shrink")
    assert (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "40Gi"})).status_code == 202


async def test_a_switchover_needs_another_primary(gateway: Gateway) -> None:
    database = await gateway.create(instances=2)
    await gateway.make_ready(database, primary="orders-1")
    moved = (await gateway.client.post(f"{DATABASES}/orders/actions/switchover")).json()
    command = [e for x, e in await gateway.outbox() if x == COMMANDS_EXCHANGE][-1].payload(SwitchoverDatabase)
    assert (command.expected_primary, command.goal) == ("orders-1", "ready;primary!=orders-1")
    await gateway.tell(applied(moved))
    await gateway.tell(seen(moved, 2, "ready", primary="orders-1"))
    assert (await gateway.get())["operation"]["status"] == "running"
    await gateway.tell(seen(moved, 3, "ready", primary="orders-2"))
    assert (await gateway.get())["operation"]["status"] == "succeeded"


async def test_a_failed_switchover_changes_only_its_operation(gateway: Gateway) -> None:
    database = await gateway.create(instances=2)
    await gateway.make_ready(database, primary="orders-1")
    moved = (await gateway.client.post(f"{DATABASES}/orders/actions/switchover")).json()
    await gateway.tell(apply_failed(moved, "apply_conflict", retryable=False))
    now = await gateway.get()
    assert (now["state"], now["operation"]["status"]) == ("ready", "failed")


async def test_a_delete_frees_the_name_only_when_everything_is_gone(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    gone = (await gateway.client.delete(f"{DATABASES}/orders")).json()
    assert gone["state"] == "deleting"
    await gateway.tell(removed(gone, existed=True))
    assert (await gateway.get())["state"] == "deleting"
    await gateway.tell(seen(gone, 2, "deleted", reason="removed"))
    assert (await gateway.client.get(f"{DATABASES}/orders")).status_code == 404
    operation = await gateway.operation(gone["operation"]["id"])
    assert operation["status"] == "succeeded"
    again = await gateway.create()
    assert again["id"] != database["id"]
    listed = (await gateway.client.get("/v1/projects/acme/operations", params={"database": "orders"})).json()["items"]
    assert [o["type"] for o in listed] == ["create", "delete", "create"]


async def test_a_delete_of_what_never_existed_needs_only_removed(gateway: Gateway) -> None:
    await gateway.create()
    gone = (await gateway.client.delete(f"{DATABASES}/orders")).json()
    assert (await gateway.operation(gone["operation"]["id"]))["status"] == "pending"
    await gateway.tell(removed(gone, existed=False))
    assert (await gateway.client.get(f"{DATABASES}/orders")).status_code == 404


async def expire_operations(gateway: Gateway) -> None:
    async with gateway.engine.begin() as connection:
        await connection.execute(
            text("UPDATE gateway.operations SET deadline = clock_timestamp() - interval '1 second'")
        )
    await gateway.parts.sweeper.sweep()


async def test_a_delete_that_failed_at_its_deadline_is_retried_and_still_ends_as_a_tombstone(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    gone = (await gateway.client.delete(f"{DATABASES}/orders")).json()
    await expire_operations(gateway)
    assert (await gateway.get())["operation"]["error"]["code"] == "deadline_exceeded"
    retried = (await gateway.client.delete(f"{DATABASES}/orders")).json()
    assert retried["operation"]["id"] != gone["operation"]["id"]
    assert retried["generation"] == 3
    await gateway.tell(removed(retried, existed=True))
    await gateway.tell(seen(retried, 2, "deleted"))
    assert (await gateway.operation(retried["operation"]["id"]))["status"] == "succeeded"


async def test_an_operation_past_its_deadline_fails_with_the_last_known_reason(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(apply_failed(database, "kubernetes_unavailable", retryable=True))
    await gateway.parts.sweeper.sweep()
    assert (await gateway.get())["operation"]["status"] == "pending"
    await expire_operations(gateway)
    operation = (await gateway.get())["operation"]
    assert (operation["status"], operation["error"]["code"]) == ("failed", "deadline_exceeded")
    assert "kubernetes_unavailable: in words" in operation["error"]["detail"]


async def test_a_failed_change_shows_as_degraded_with_its_code(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.make_ready(database)
    await gateway.client.patch(f"{DATABASES}/orders", json={"instances": 2})
    await expire_operations(gateway)
    now = await gateway.get()
    assert (now["state"], now["state_reason"], now["instances"]) == ("degraded", "deadline_exceeded", 2)


async def publish(gateway: Gateway) -> None:
    """Mark every unsent row sent, as the relay does."""
    async with gateway.engine.begin() as connection:
        rows = (
            await connection.execute(
                text("UPDATE gateway.outbox SET sent_at = clock_timestamp() WHERE sent_at IS NULL RETURNING *")
            )
        ).all()
        await mark_published(
            connection, [SentMessage(r.event_id, r.type, r.subject, r.operation_id, r.exchange) for r in rows]
        )


async def test_a_command_not_received_within_a_minute_is_emitted_again_to_the_provisioner_only(
    gateway: Gateway,
) -> None:
    database = await gateway.create()
    await gateway.parts.sweeper.sweep()
    await publish(gateway)
    assert [p["name"] for p in (await gateway.get())["operation"]["phases"]] == ["accepted", "published"]
    await gateway.parts.sweeper.sweep()
    assert len(await gateway.outbox()) == 3

    async def age() -> None:
        async with gateway.engine.begin() as connection:
            await connection.execute(
                text("UPDATE gateway.operations SET command_sent_at = command_sent_at - interval '2 minutes'")
            )

    await age()
    await gateway.parts.sweeper.sweep()
    await gateway.parts.sweeper.sweep()  # unsent: the relay has it, no second one is made
    rows = await gateway.outbox()
    assert len(rows) == 4
    assert rows[3][0] == COMMANDS_EXCHANGE
    assert encode(rows[3][1]) == encode(rows[1][1])
    await publish(gateway)
    await gateway.tell(received(database))
    await age()
    await gateway.parts.sweeper.sweep()
    assert len(await gateway.outbox()) == 4
    assert await gateway.scalar("SELECT command IS NULL FROM gateway.operations")


async def test_a_refused_resize_is_undone_once_by_the_system(gateway: Gateway) -> None:
    database = await gateway.create(storage="5Gi")
    await gateway.make_ready(database, storage="5Gi")
    grown = (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "20Gi"})).json()
    await gateway.tell(applied(grown))
    refused = seen(grown, 2, "failed", reason="volume_expansion_refused", observed_generation=1, storage="5Gi")
    event = await gateway.tell(refused)
    await gateway.parts.projection.apply(event)
    await gateway.tell(refused.model_copy(update={"revision": 3}))
    now = await gateway.get()
    assert (now["generation"], now["storage"]) == (3, "5Gi")
    assert (now["operation"]["type"], now["operation"]["created_by"]) == ("undo_resize", "system:gateway")
    failed = await gateway.operation(grown["operation"]["id"])
    assert failed["error"]["code"] == "volume_expansion_refused"
    commands = [e for x, e in await gateway.outbox() if x == COMMANDS_EXCHANGE]
    assert len(commands) == 3
    assert commands[-1].payload(ApplyDatabase).undo_resize is True
    assert commands[-1].causationid == event.id
    await gateway.make_ready(now, 4, storage="5Gi")
    assert (await gateway.get())["operation"]["status"] == "succeeded"
    # what was undone counts no longer: the same size may be asked for again
    assert (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "6Gi"})).status_code == 202


async def test_a_resize_that_the_class_refuses_before_it_was_applied_is_undone_without_the_way_out(
    gateway: Gateway,
) -> None:
    database = await gateway.create(storage="5Gi")
    await gateway.make_ready(database, storage="5Gi")
    grown = (await gateway.client.patch(f"{DATABASES}/orders", json={"storage": "20Gi"})).json()
    await gateway.tell(apply_failed(grown, "volume_expansion_refused", retryable=False))
    commands = [e for x, e in await gateway.outbox() if x == COMMANDS_EXCHANGE]
    payload = commands[-1].payload(ApplyDatabase)
    assert (payload.undo_resize, payload.desired.storage, payload.generation) == (False, "5Gi", 3)


async def test_an_event_of_an_unknown_database_is_settled_and_changes_nothing(gateway: Gateway) -> None:
    database = await gateway.create()
    await gateway.tell(seen(database | {"id": str(new_id())}, 1, "ready"))
    assert (await gateway.get())["state"] == "requested"


async def test_a_type_that_the_queue_should_not_carry_is_poison(gateway: Gateway) -> None:
    action = ApiAction(
        actor=ActionActor(kind="system", name="x"),
        address="",
        method="GET",
        route="/",
        resource="/",
        outcome="read",
        status=200,
        request_id="r",
    )
    with pytest.raises(PoisonError):
        await gateway.parts.projection.apply(build_event(action, source="/postern/gateway", subject="s"))


async def test_a_cancelled_projection_leaves_no_trace_and_the_redelivery_does_it(gateway: Gateway) -> None:
    database = await gateway.create()
    event = event_of(seen(database, 1, "ready"))
    async with gateway.engine.begin() as holder:
        await holder.execute(text("SELECT 1 FROM gateway.databases FOR UPDATE"))
        task = asyncio.gather(gateway.parts.projection.apply(event))

        async def is_waiting() -> bool:
            return bool(await gateway.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await eventually(is_waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await gateway.get())["state"] == "requested"
    await gateway.parts.projection.apply(event)
    assert (await gateway.get())["observed_generation"] == 1
