"""Messages for tests: valid events with the least effort."""

from uuid import UUID

from postern_common.contracts.cloudevent import CloudEvent, build_event, encode
from postern_common.contracts.events import DatabaseReceived
from postern_common.contracts.identifiers import new_id
from postern_common.contracts.outgoing import OutgoingMessage
from postern_common.contracts.registry import BY_TYPE


def received_event(subject: str = "database-1", *, generation: int = 1, operation_id: UUID | None = None) -> CloudEvent:
    """A ``database.received`` about ``subject``; ``generation`` tells events of one subject apart."""
    payload = DatabaseReceived(
        database_id=new_id(),
        project_id=new_id(),
        project="acme",
        name="orders",
        generation=generation,
        operation_id=operation_id or new_id(),
    )
    return build_event(
        payload, source="/postern/provisioner", subject=subject, project="acme", operation_id=payload.operation_id
    )


def outgoing(event: CloudEvent) -> OutgoingMessage:
    """The event as its registry entry sends it."""
    registered = BY_TYPE[event.type]
    return OutgoingMessage(registered.exchange, registered.routing_key, encode(event), event.id, event.type)


def generation_of(event: CloudEvent) -> int:
    """The generation that the test gave to ``received_event``."""
    return event.payload(DatabaseReceived).generation
