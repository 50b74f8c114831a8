"""How entries are shown: server-sent events, pages and the audit view. Pure bytes and dictionaries out of entries.

A ``viewer`` sees an API action reduced to type, time and resource (semantics 32).
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from postern_audit.domain.entry import API_ACTION, Entry, event_json, event_of
from postern_common.contracts.cloudevent import encode

PING = b": ping\n\n"
_MAX_DIGITS = 18
_NEWLINE = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which entries of a project are asked for; empty means all. ``databases`` holds database ids as text."""

    types: frozenset[str] = frozenset()
    databases: frozenset[str] = frozenset()

    def admit(self, type_: str, subject: str) -> bool:
        """Whether an entry of this type and subject is asked for."""
        return (not self.types or type_ in self.types) and (not self.databases or subject in self.databases)


class Line(msgspec.Struct, frozen=True):
    """An entry encoded once for every subscriber of its project: the SSE frames for members and for viewers."""

    project: str
    sequence: int
    position: int
    type: str
    subject: str
    full: bytes
    reduced: bytes


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: after sequence ``cursor``; ``reset`` says why that is not what the client asked for."""

    cursor: int
    reset: str | None = None


def resolve_start(requested: str, *, oldest: int, newest: int) -> Start:
    """Turn ``now``, ``0`` (the oldest there is) or a sequence the client has seen into a cursor.

    What is older than retention, was never given out or is no number at all gets a reset: an expired one goes on from
    the oldest entry, an unknown one from now, as nothing is known about what that client has seen.
    """
    if requested == "now":
        return Start(newest)
    if not (requested.isascii() and requested.isdigit() and len(requested) <= _MAX_DIGITS):
        return Start(newest, "unknown")
    sequence = int(requested)
    if sequence > newest:
        return Start(newest, "unknown")
    if 0 < sequence < oldest - 1:
        return Start(oldest - 1, "expired")
    return Start(sequence)


def line_of(entry: Entry) -> Line | None:
    """The entry as SSE frames; None for an entry that belongs to no project's stream."""
    if entry.project is None or entry.sequence is None:
        return None
    full = frame(entry.sequence, entry.type, event_json(entry))
    reduced = full
    if entry.type == API_ACTION:
        reduced = frame(entry.sequence, entry.type, reduced_event_json(entry))
    return Line(entry.project, entry.sequence, entry.position, entry.type, entry.subject, full, reduced)


def frame(sequence: int, type_: str, body: bytes) -> bytes:
    """One server-sent event. JSON kept as received may be spread over lines: each becomes a ``data:`` line."""
    data = b"".join(b"data: " + part + b"\n" for part in _NEWLINE.split(body))
    return b"id: %d\nevent: %s\n%s\n" % (sequence, type_.encode(), data)


def retry_frame(milliseconds: int) -> bytes:
    """How long a client should wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def reset_frame(resume_after: int, reason: str) -> bytes:
    """Tells the client that the stream does not go on from its id: what it missed must be read again elsewhere.

    ``reason`` is ``expired`` (older than retention) or ``unknown`` (never given out). The frame's own id is where the
    stream does go on, so that a reconnect does not meet the same answer.
    """
    body = msgspec.json.encode({"reason": reason, "resume_after": str(resume_after)})
    return frame(resume_after, "reset", body)


def reduced_event_json(entry: Entry) -> bytes:
    """An API action as a viewer may see it: type, time and resource."""
    event = event_of(entry)
    resource = _Action.decode(entry.data).resource
    small = msgspec.structs.replace(
        event,
        data=msgspec.Raw(msgspec.json.encode({"resource": resource})),
        dataschema="",
        operationid=None,
        causationid=None,
        traceparent=None,
        tracestate=None,
        sourceshard=None,
        sourcesequence=None,
    )
    return encode(small)


def visible_json(entry: Entry, *, reduced: bool) -> bytes:
    """The entry as an item of a page."""
    return reduced_event_json(entry) if reduced and entry.type == API_ACTION else event_json(entry)


class _ActionData(msgspec.Struct, frozen=True):
    """What the audit view takes from an API action's data. Tolerant: the ledger shows what it has."""

    actor: Any = None
    address: Any = None
    method: Any = None
    route: Any = None
    resource: Any = None
    outcome: Any = None
    status: Any = None
    request_id: Any = None
    operation_id: Any = None
    trace_id: Any = None


_Action = msgspec.json.Decoder(_ActionData)


def audit_record(entry: Entry) -> dict[str, Any]:
    """An API action as ``GET …/audit`` shows it (semantics 32). Operation and trace fall back to the envelope's."""
    data = _Action.decode(entry.data)
    operation_id = data.operation_id or (None if entry.operation_id is None else str(entry.operation_id))
    return {
        "sequence": str(entry.sequence),
        "time": entry.time,
        "actor": data.actor,
        "address": data.address,
        "method": data.method,
        "route": data.route,
        "resource": data.resource,
        "outcome": data.outcome,
        "status": data.status,
        "request_id": data.request_id,
        "operation_id": operation_id,
        "trace_id": data.trace_id or entry.trace_id,
    }
