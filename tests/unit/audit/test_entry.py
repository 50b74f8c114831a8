"""From the received event to the entry and back: nothing is changed, nothing unstorable gets in."""

import json
from typing import Any

import pytest

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.entry import draft_entry, event_of, require_storable, trace_id_of
from postern_common.contracts.cloudevent import CloudEvent, decode, encode
from postern_common.contracts.events import DatabaseReceived
from postern_common.contracts.identifiers import new_id
from postern_common.errors import PoisonError

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def members(**changes: Any) -> dict[str, Any]:
    project_id = str(new_id())
    data = {
        "database_id": str(new_id()), "project_id": project_id, "project": "acme", "name": "orders", "generation": 1,
        "operation_id": str(new_id()),
    }  # fmt: skip
    event = {
        "specversion": "1.0", "id": str(new_id()), "source": "/postern/provisioner", "subject": data["database_id"],
        "type": "dev.postern.database.received.v1", "time": "2026-01-01T00:00:00.5+02:00", "data": data,
        "datacontenttype": "application/json", "dataschema": "https://example.org/s", "project": "acme",
        "projectid": project_id, "operationid": data["operation_id"], "causationid": str(new_id()),
        "traceparent": TRACEPARENT, "tracestate": "a=b", "sourceshard": 3, "sourcesequence": 9,
    }  # fmt: skip
    return {name: value for name, value in (event | changes).items() if value is not None}


def received(**changes: Any) -> CloudEvent:
    return decode(json.dumps(members(**changes)).encode())


def test_an_entry_gives_back_the_event_that_was_received_and_its_sequence() -> None:
    body = json.dumps(members(), indent=2).encode()
    event = decode(body)
    (entry,) = append(Head(6, GENESIS), {"acme": 11}, [draft_entry(event)]).entries
    returned = event_of(entry)
    assert bytes(returned.data) == bytes(event.data), "white space and all"
    assert returned.time == "2026-01-01T00:00:00.5+02:00"
    assert json.loads(encode(returned)) == json.loads(body) | {"sequence": "12"}
    assert returned.payload(DatabaseReceived) == event.payload(DatabaseReceived)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"projectid": None}, "incomplete_project"),
        ({"project": None}, "incomplete_project"),
        ({"subject": "a\x00b"}, "malformed"),
        ({"source": "\x00"}, "malformed"),
        ({"time": "\x00"}, "malformed"),
        ({"tracestate": "\x00"}, "malformed"),
        ({"traceparent": "\x00"}, "malformed"),
        ({"dataschema": "\x00"}, "malformed"),
        ({"datacontenttype": "text/plain"}, "malformed"),
        ({"sourceshard": 2**15}, "malformed"),
        ({"sourceshard": -1}, "malformed"),
        ({"sourcesequence": 2**63}, "malformed"),
        ({"sourcesequence": -1}, "malformed"),
        ({"data": {"generation": "many"}}, "schema_violation"),
        ({"data": "\x00"}, "schema_violation"),
        ({"type": "dev.postern.api.action.v1"}, "schema_violation"),
    ],
)
def test_what_no_table_can_hold_is_refused_alone(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(PoisonError) as caught:
        require_storable(received(**changes))
    assert caught.value.code == code


def test_data_that_is_not_utf_8_is_refused() -> None:
    body = json.dumps(members()).encode().replace(b'"orders"', b'"or\xffders"')
    with pytest.raises(PoisonError):
        require_storable(decode(body))


def test_an_escaped_nul_inside_data_stays_as_it_was_escaped() -> None:
    data = members()["data"] | {"later": "a\x00b"}
    event = received(data=data)
    require_storable(event)
    draft = draft_entry(event)
    assert "\\u0000" in draft.data
    assert "\x00" not in draft.data


def test_an_actor_whose_name_holds_nul_is_refused() -> None:
    action = {
        "actor": {"kind": "user", "name": "a\x00"}, "address": "::1", "method": "GET", "route": "/", "resource": "r",
        "outcome": "read", "status": 200, "request_id": "1",
    }  # fmt: skip
    with pytest.raises(PoisonError):
        require_storable(received(type="dev.postern.api.action.v1", data=action))
    action["actor"] = {"kind": "user", "name": "zoë"}
    assert draft_entry(received(type="dev.postern.api.action.v1", data=action)).actor == "user:zoë"


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (TRACEPARENT, "0af7651916cd43dd8448eb211c80319c"),
        (None, None),
        ("", None),
        ("00-short", None),
        (TRACEPARENT.replace("0af7", "0AF7"), None),
        ("x" * 55, None),
    ],
)
def test_the_trace_id_is_taken_from_a_well_formed_traceparent(traceparent: str | None, trace_id: str | None) -> None:
    assert trace_id_of(traceparent) == trace_id
