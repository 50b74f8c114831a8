"""A message on its way to the broker: what the outbox hands to a publisher. Data only: neither knows the other."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """An encoded CloudEvent and where it goes. ``attempt`` counts sends of the same event from 1."""

    exchange: str
    routing_key: str
    body: bytes
    event_id: UUID
    type: str
    attempt: int = 1
