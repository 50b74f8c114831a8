"""The envelope: what is sent is what is read, and nothing but PoisonError comes out of a bad body."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_common.contracts.broker import MAX_BODY_BYTES
from postern_common.contracts.cloudevent import CloudEvent, build_event, decode, encode
from postern_common.contracts.commands import ApplyDatabase, DesiredState
from postern_common.contracts.events import DatabaseReceived
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.registry import MESSAGE_TYPES
from postern_common.errors import PoisonError


def received() -> DatabaseReceived:
    return DatabaseReceived(
        database_id=new_id(), project_id=new_id(), project="acme", name="orders", generation=3, operation_id=new_id()
    )


def event() -> CloudEvent:
    payload = received()
    return build_event(
        payload,
        source="/postern/provisioner",
        subject=str(payload.database_id),
        project="acme",
        project_id=payload.project_id,
        operation_id=payload.operation_id,
        causation_id=new_id(),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def test_a_decoded_event_is_the_encoded_one_to_the_byte() -> None:
    body = encode(event())
    assert encode(decode(body)) == body


def test_the_wire_form_has_every_required_cloudevents_attribute_and_no_empty_one() -> None:
    members = json.loads(encode(event()))
    assert members["specversion"] == "1.0"
    assert {"id", "source", "type", "subject", "time", "data", "dataschema", "datacontenttype"} <= members.keys()
    assert None not in members.values()
    assert all(name == name.lower() and name.isalnum() for name in members), "CloudEvents attribute names are [a-z0-9]"


def test_time_and_data_keep_the_received_text_exactly() -> None:
    body = encode(event()).replace(b'"name":"orders"', b'"name" : "orders"')
    decoded = decode(body)
    assert b'"name" : "orders"' in bytes(decoded.data)
    assert decoded.time in body.decode()


def test_times_are_utc_with_microseconds_whatever_zone_is_given() -> None:
    local = datetime(2026, 1, 1, 1, 0, 0, tzinfo=timezone(timedelta(hours=1)))
    built = build_event(received(), source="/postern/test", subject="s", now=local)
    assert built.time == "2026-01-01T00:00:00.000000Z"
    assert datetime.fromisoformat(built.time) == local.astimezone(UTC)


def test_unknown_members_are_ignored_in_envelope_and_payload() -> None:
    members = json.loads(encode(event()))
    members["later"] = {"a": 1}
    members["data"]["later"] = True
    assert decode(json.dumps(members).encode()).payload(DatabaseReceived).generation == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed"),
        (b"not json", "malformed"),
        (b"[]", "malformed"),
        (b"{}", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b" " * (MAX_BODY_BYTES + 1), "too_large"),
    ],
)
def test_a_bad_body_is_poison_with_a_reason(body: bytes, code: str) -> None:
    with pytest.raises(PoisonError) as caught:
        decode(body)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("type", "dev.postern.database.invented.v1", "unknown_type"),
        ("type", "dev.postern.database.applied.v2", "unknown_type"),
        ("specversion", "0.3", "malformed"),
        ("id", "7", "malformed"),
        ("subject", None, "malformed"),
    ],
)
def test_an_envelope_that_is_not_ours_is_poison(member: str, value: object, code: str) -> None:
    members = json.loads(encode(event())) | {member: value}
    with pytest.raises(PoisonError) as caught:
        decode(json.dumps(members).encode())
    assert caught.value.code == code


def test_a_payload_that_does_not_fit_is_poison_and_shows_no_value() -> None:
    members = json.loads(encode(event()))
    members["data"]["generation"] = "canary-secret"
    with pytest.raises(PoisonError) as caught:
        decode(json.dumps(members).encode()).payload(DatabaseReceived)
    assert caught.value.code == "schema_violation"
    assert "canary-secret" not in str(caught.value)


@given(st.binary(max_size=200))
def test_no_bytes_make_decode_raise_anything_else(body: bytes) -> None:
    with pytest.raises(PoisonError):
        decode(body)


def test_a_command_survives_the_wire_with_all_of_its_desired_state() -> None:
    command = ApplyDatabase(
        database_id=new_id(),
        project_id=new_id(),
        project="acme",
        name="orders",
        cluster_name="orders-abcdef",
        generation=2,
        operation_id=new_id(),
        goal="ready",
        desired=DesiredState(
            plan="standard-2", version=17, instances=2, cpu="2", memory="4Gi", storage="20Gi",
            parameters={"work_mem": "8MB"}, allowed_cidrs=("10.0.0.0/8",),
            restarted_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
    )  # fmt: skip
    sent = build_event(command, source="/postern/gateway", subject=str(command.database_id))
    assert decode(encode(sent)).payload(ApplyDatabase) == command


def test_every_registered_type_has_its_own_model_and_a_versioned_name() -> None:
    assert len({message.model for message in MESSAGE_TYPES}) == len(MESSAGE_TYPES)
    assert all(message.type.startswith("dev.postern.") and message.type.endswith(".v1") for message in MESSAGE_TYPES)
    assert all(message.model.model_config.get("frozen") for message in MESSAGE_TYPES)
