"""One registry from message type to payload model, exchange and routing key. Schemas and AsyncAPI are made from it."""

import builtins
from dataclasses import dataclass

from postern_common.contracts.broker import COMMANDS_EXCHANGE, EVENTS_EXCHANGE
from postern_common.contracts.commands import ApplyDatabase, DeleteDatabase, SwitchoverDatabase
from postern_common.contracts.events import (
    ApiAction,
    DatabaseApplied,
    DatabaseApplyFailed,
    DatabaseObserved,
    DatabaseReceived,
    DatabaseRemoved,
    DatabaseStateChanged,
    ObjectDrifted,
)
from postern_common.contracts.payload import Payload

TYPE_PREFIX = "dev.postern."
SCHEMA_BASE = "https://postern.dev/schemas/"


@dataclass(frozen=True, slots=True)
class MessageType:
    """A message type: its full name, payload model, exchange and routing key (entity and verb, never an id)."""

    type: str
    model: builtins.type[Payload]
    exchange: str
    routing_key: str

    @property
    def dataschema(self) -> str:
        """URL of the payload's JSON Schema, the envelope's ``dataschema``."""
        return f"{SCHEMA_BASE}{self.type}.json"


def _command(name: str, model: type[Payload]) -> MessageType:
    return MessageType(f"{TYPE_PREFIX}command.{name}.v1", model, COMMANDS_EXCHANGE, name)


def _event(name: str, model: type[Payload]) -> MessageType:
    return MessageType(f"{TYPE_PREFIX}{name}.v1", model, EVENTS_EXCHANGE, name)


MESSAGE_TYPES: tuple[MessageType, ...] = (
    _command("database.apply", ApplyDatabase),
    _command("database.delete", DeleteDatabase),
    _command("database.switchover", SwitchoverDatabase),
    _event("database.received", DatabaseReceived),
    _event("database.applied", DatabaseApplied),
    _event("database.apply_failed", DatabaseApplyFailed),
    _event("database.removed", DatabaseRemoved),
    _event("database.state_changed", DatabaseStateChanged),
    _event("database.observed", DatabaseObserved),
    _event("object.drifted", ObjectDrifted),
    _event("api.action", ApiAction),
)

BY_TYPE: dict[str, MessageType] = {message.type: message for message in MESSAGE_TYPES}
BY_MODEL: dict[type[Payload], MessageType] = {message.model: message for message in MESSAGE_TYPES}
