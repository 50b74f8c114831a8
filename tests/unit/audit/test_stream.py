"""What a client of the stream or of a page reads, byte for byte."""

import json
from uuid import UUID

import pytest

from postern_audit.domain.chain import GENESIS, Head, append
from postern_audit.domain.entry import API_ACTION, Draft, Entry
from postern_audit.domain.stream import (
    Filters,
    Start,
    audit_record,
    frame,
    line_of,
    reset_frame,
    resolve_start,
    retry_frame,
    visible_json,
)

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
ACTION = (
    '{"actor":{"kind":"user","name":"zoë","credential_id":null},"address":"10.0.0.1","method":"PATCH","route":"/v1/x",'
    '"resource":"projects/acme/databases/orders","outcome":"accepted","status":202,"request_id":"r1",'
    '"diff":{"plan":["dev-1","standard-2"]}}'
)


def entry(type_: str = API_ACTION, data: str = ACTION, project: str | None = "acme") -> Entry:
    draft = Draft(
        source="/postern/gateway", id=ID, type=type_, subject="orders-id", time="2026-01-01T00:00:00Z", data=data,
        project=project, project_id=None if project is None else ID, operation_id=ID, actor="user:zoë",
        trace_id="0af7651916cd43dd8448eb211c80319c",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )  # fmt: skip
    return append(Head(0, GENESIS), {"acme": 4}, [draft]).entries[0]


def test_a_frame_has_the_sequence_the_type_and_the_event() -> None:
    assert frame(12, "dev.postern.x.v1", b'{"a":1}') == b'id: 12\nevent: dev.postern.x.v1\ndata: {"a":1}\n\n'


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_data_that_came_over_several_lines_stays_one_event(newline: str) -> None:
    body = '{\n"a": 1,\n"b": 2\n}'.replace("\n", newline).encode()
    lines = frame(1, "t", body).decode().split("\n")
    assert lines[2:] == ["data: {", 'data: "a": 1,', 'data: "b": 2', "data: }", "", ""]
    assert "\r" not in "".join(lines)


def test_resets_and_retries_are_events_of_the_protocol() -> None:
    assert retry_frame(1500) == b"retry: 1500\n\n"
    assert reset_frame(7, "expired") == b'id: 7\nevent: reset\ndata: {"reason":"expired","resume_after":"7"}\n\n'


def test_an_entry_without_a_project_is_in_no_stream() -> None:
    assert line_of(entry(project=None)) is None


def test_a_member_sees_all_and_a_viewer_type_time_and_resource_of_an_action() -> None:
    line = line_of(entry())
    assert line is not None
    full, reduced = (json.loads(text.split(b"data: ")[1]) for text in (line.full, line.reduced))
    assert full["data"] == json.loads(ACTION)
    assert full["sequence"] == reduced["sequence"] == "5"
    assert reduced["data"] == {"resource": "projects/acme/databases/orders"}
    assert (reduced["type"], reduced["time"], reduced["id"]) == (full["type"], full["time"], full["id"])
    for secret in ("zoë", "10.0.0.1", "r1", "standard-2", "0af7651916cd43dd8448eb211c80319c", "PATCH"):
        assert secret in json.dumps(full, ensure_ascii=False)
        assert secret not in json.dumps(reduced, ensure_ascii=False)
    assert json.loads(visible_json(entry(), reduced=True)) == reduced


def test_other_events_are_the_same_for_everybody_and_encoded_once() -> None:
    line = line_of(entry("dev.postern.database.received.v1", "{}"))
    assert line is not None
    assert line.full is line.reduced


def test_the_audit_view_of_an_action() -> None:
    assert audit_record(entry()) == {
        "sequence": "5",
        "time": "2026-01-01T00:00:00Z",
        "actor": {"kind": "user", "name": "zoë", "credential_id": None},
        "address": "10.0.0.1",
        "method": "PATCH",
        "route": "/v1/x",
        "resource": "projects/acme/databases/orders",
        "outcome": "accepted",
        "status": 202,
        "request_id": "r1",
        "operation_id": str(ID),
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


@pytest.mark.parametrize(
    ("requested", "oldest", "newest", "start"),
    [
        ("now", 1, 9, Start(9)),
        ("now", 0, 0, Start(0)),
        ("0", 1, 9, Start(0)),
        ("0", 5, 9, Start(0)),
        ("0", 0, 0, Start(0)),
        ("9", 1, 9, Start(9)),
        ("007", 1, 9, Start(7)),
        ("4", 5, 9, Start(4)),
        ("3", 5, 9, Start(4, "expired")),
        ("10", 1, 9, Start(9, "unknown")),
        ("1", 0, 0, Start(0, "unknown")),
        ("", 1, 9, Start(9, "unknown")),
        ("-1", 1, 9, Start(9, "unknown")),
        ("1.0", 1, 9, Start(9, "unknown")),
        ("١", 1, 9, Start(9, "unknown")),
        ("9" * 400, 1, 9, Start(9, "unknown")),
    ],
)
def test_where_a_stream_begins(requested: str, oldest: int, newest: int, start: Start) -> None:
    assert resolve_start(requested, oldest=oldest, newest=newest) == start


def test_filters_admit_everything_or_what_they_name() -> None:
    assert Filters().admit("t", "s")
    assert Filters(types=frozenset({"t"})).admit("t", "s")
    assert not Filters(types=frozenset({"u"})).admit("t", "s")
    assert not Filters(types=frozenset({"t"}), databases=frozenset({"d"})).admit("t", "s")
