"""A ledger entry, and how one is drafted from a received event.

Separate from the envelope: the ledger keeps ``time`` and ``data`` as the exact text that was received (semantics 34)
beside columns that a person can query, and refuses what its table could never hold.
"""

import re
from collections.abc import Iterable
from uuid import UUID

import msgspec

from postern_common.contracts.cloudevent import CloudEvent, encode
from postern_common.contracts.events import ApiAction
from postern_common.contracts.registry import BY_TYPE
from postern_common.errors import PoisonError

API_ACTION = "dev.postern.api.action.v1"
_MAX_BIGINT = 2**63 - 1
_MAX_SHARD = 2**15 - 1
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class _Actor(msgspec.Struct, frozen=True):
    kind: str
    name: str


class _Action(msgspec.Struct, frozen=True):
    actor: _Actor


_ACTION = msgspec.json.Decoder(_Action)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into the ledger: everything but its place in the chain."""

    source: str
    id: UUID
    type: str
    subject: str
    time: str
    """RFC 3339, exactly as received."""
    data: str
    """JSON text, exactly as received."""
    project: str | None = None
    """Name of the project whose stream takes the entry; names are never reused (semantics 1)."""
    project_id: UUID | None = None
    operation_id: UUID | None = None
    trace_id: str | None = None
    actor: str | None = None
    """``<kind>:<name>`` of an API action, else None."""
    dataschema: str = ""
    causation_id: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    source_shard: int | None = None
    source_sequence: int | None = None


class Entry(Draft, frozen=True, kw_only=True):
    """A row of the ledger. ``sequence`` counts per project, ``position`` over everything; both without a gap."""

    position: int
    sequence: int | None
    previous_hash: bytes
    hash: bytes


def require_storable(event: CloudEvent) -> None:
    """Refuse what can never be stored, message by message: in the insert it would fail its whole batch for ever.

    Raises ``PoisonError`` for text that is no UTF-8 or holds NUL, numbers beyond their columns, a project's name
    without its id, a payload that is not its type's.
    """
    _refuse_unstorable(event)
    payload = event.payload(BY_TYPE[event.type].model)
    if isinstance(payload, ApiAction) and "\x00" in payload.actor.kind + payload.actor.name:
        raise PoisonError("malformed", f"{event.type}: the actor's name holds NUL")
    try:
        bytes(event.data).decode()
    except UnicodeDecodeError as error:
        raise PoisonError("malformed", "data is not UTF-8") from error


def draft_entry(event: CloudEvent) -> Draft:
    """Draft an entry from an event that ``require_storable`` let pass."""
    actor = None
    if event.type == API_ACTION:
        named = _ACTION.decode(event.data).actor
        actor = f"{named.kind}:{named.name}"
    return Draft(
        source=event.source,
        id=event.id,
        type=event.type,
        subject=event.subject,
        time=event.time,
        data=bytes(event.data).decode(),
        project=event.project,
        project_id=event.projectid,
        operation_id=event.operationid,
        trace_id=trace_id_of(event.traceparent),
        actor=actor,
        dataschema=event.dataschema,
        causation_id=event.causationid,
        traceparent=event.traceparent,
        tracestate=event.tracestate,
        source_shard=event.sourceshard,
        source_sequence=event.sourcesequence,
    )


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits of a W3C traceparent; None where there is none or it is malformed."""
    match = _TRACEPARENT.match(traceparent or "")
    return match.group(1) if match else None


def event_of(entry: Entry) -> CloudEvent:
    """The event as it was received, plus its ``sequence`` (a decimal string: CloudEvents' own extension)."""
    return CloudEvent(
        id=entry.id,
        source=entry.source,
        type=entry.type,
        subject=entry.subject,
        time=entry.time,
        data=msgspec.Raw(entry.data.encode()),
        dataschema=entry.dataschema,
        project=entry.project,
        projectid=entry.project_id,
        operationid=entry.operation_id,
        causationid=entry.causation_id,
        traceparent=entry.traceparent,
        tracestate=entry.tracestate,
        sourceshard=entry.source_shard,
        sourcesequence=entry.source_sequence,
        sequence=None if entry.sequence is None else str(entry.sequence),
    )


def event_json(entry: Entry) -> bytes:
    """``event_of`` as JSON."""
    return encode(event_of(entry))


def _refuse_unstorable(event: CloudEvent) -> None:
    if (event.project is None) != (event.projectid is None):
        raise PoisonError("incomplete_project", f"{event.type}: project and projectid go together")
    if event.datacontenttype != "application/json":
        raise PoisonError("malformed", "datacontenttype is not application/json")
    if any("\x00" in text for text in _texts(event)):
        raise PoisonError("malformed", f"{event.type}: a text attribute holds NUL")
    if not 0 <= (event.sourceshard or 0) <= _MAX_SHARD or not 0 <= (event.sourcesequence or 0) <= _MAX_BIGINT:
        raise PoisonError("malformed", f"{event.type}: sourceshard or sourcesequence is out of range")


def _texts(event: CloudEvent) -> Iterable[str]:
    optional = (event.project, event.traceparent, event.tracestate)
    return (event.source, event.subject, event.time, event.dataschema, *(text for text in optional if text is not None))
