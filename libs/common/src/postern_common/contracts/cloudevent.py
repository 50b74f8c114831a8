"""The envelope: CloudEvents 1.0 in structured mode (https://github.com/cloudevents/spec, JSON format).

``time`` and ``data`` are kept as the exact text that was received: the ledger hashes that text (semantics 34), and
columns of type timestamptz or jsonb would change it.
"""

import builtins
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from pydantic import ValidationError

from postern_common.contracts.broker import MAX_BODY_BYTES
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.payload import Payload
from postern_common.contracts.registry import BY_MODEL, BY_TYPE
from postern_common.errors import PoisonError

CONTENT_TYPE = "application/cloudevents+json"
P = TypeVar("P", bound=Payload)


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. ``id`` never changes on a re-send: with ``source`` it is the de-duplication key."""

    id: UUID
    source: str
    type: str
    subject: str
    time: str
    data: msgspec.Raw
    specversion: str = msgspec.field(default="1.0")
    datacontenttype: str = "application/json"
    dataschema: str = ""
    project: str | None = None
    projectid: UUID | None = None
    operationid: UUID | None = None
    causationid: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    sourceshard: int | None = None
    sourcesequence: int | None = None
    """Gapless per (source, shard) over what was published to ``postern.events``; stamped by the relay at first send."""
    sequence: str | None = None
    """Position within the project's ledger stream, a decimal string; only on events read back from the ledger."""

    def payload(self, model: builtins.type[P]) -> P:
        """The decoded payload. Raises ``PoisonError`` when it does not fit ``model``."""
        try:
            return model.model_validate_json(bytes(self.data))
        except ValidationError as error:
            raise PoisonError("schema_violation", f"{self.type}: {error.error_count()} schema violations") from error


_DECODER = msgspec.json.Decoder(CloudEvent)
_ENCODER = msgspec.json.Encoder()


def encode(event: CloudEvent) -> bytes:
    """The event as JSON. Members that are None are left out; required CloudEvents attributes never are."""
    members: dict[str, object] = {"specversion": event.specversion}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if value is not None and value != "":
            members[name] = value
    return _ENCODER.encode(members)


def decode(body: bytes) -> CloudEvent:
    """Decode a received body. Raises ``PoisonError`` (never anything else) for what is no CloudEvent of ours."""
    if len(body) > MAX_BODY_BYTES:
        raise PoisonError("too_large", f"body of {len(body)} bytes exceeds {MAX_BODY_BYTES}")
    try:
        event = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PoisonError("malformed", str(error)[:200]) from error
    if event.specversion != "1.0":
        raise PoisonError("malformed", f"specversion {event.specversion[:20]!r} is not 1.0")
    if event.type not in BY_TYPE:
        raise PoisonError("unknown_type", f"type {event.type[:100]!r} is not in the registry")
    return event


def build_event(
    payload: Payload,
    *,
    source: str,
    subject: str,
    project: str | None = None,
    project_id: UUID | None = None,
    operation_id: UUID | None = None,
    causation_id: UUID | None = None,
    traceparent: str | None = None,
    tracestate: str | None = None,
    now: datetime | None = None,
    event_id: UUID | None = None,
) -> CloudEvent:
    """Wrap a payload; type and schema come from the registry. ``source`` is ``/postern/<service>``, times are UTC."""
    registered = BY_MODEL[type(payload)]
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return CloudEvent(
        id=event_id or new_id(),
        source=source,
        type=registered.type,
        subject=subject,
        time=moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        data=msgspec.Raw(payload.model_dump_json().encode()),
        dataschema=registered.dataschema,
        project=project,
        projectid=project_id,
        operationid=operation_id,
        causationid=causation_id,
        traceparent=traceparent,
        tracestate=tracestate,
    )
