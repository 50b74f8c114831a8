"""JSON Schemas of the payloads and the AsyncAPI 3.1 document, made from the registry: pure data, written by a tool.

Committed copies let a subscriber read the contract without our code, and let a test show every change of it in review.
"""

from typing import Any, Final

from postern_common.contracts.broker import TOPOLOGY, QueueSpec
from postern_common.contracts.cloudevent import CONTENT_TYPE
from postern_common.contracts.registry import MESSAGE_TYPES, MessageType

JSON_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_VERSION: Final = "3.1.0"

Document = dict[str, Any]


def payload_schema(message: MessageType) -> Document:
    """Schema of a payload as consumers may rely on it: members beyond it are allowed and to be ignored."""
    schema = message.model.model_json_schema(mode="serialization")
    return {"$schema": JSON_SCHEMA_DIALECT, "$id": message.dataschema, **schema}


def envelope_schema(message: MessageType) -> Document:
    """Schema of a whole message: the CloudEvent around the payload."""
    uuid = {"type": "string", "format": "uuid"}
    return {
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**uuid, "description": "UUIDv7, unchanged on every re-send: with source the de-duplication key"},
            "source": {"type": "string", "description": "/postern/<service>"},
            "type": {"const": message.type},
            "subject": {"type": "string", "description": "Id of the database or project; the unit of order"},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "dataschema": {"const": message.dataschema},
            "project": {"type": "string", "description": "Name of the project"},
            "projectid": uuid,
            "operationid": uuid,
            "causationid": {**uuid, "description": "Id of the message that caused this one"},
            "traceparent": {"type": "string", "description": "W3C trace context of the moment of creation"},
            "tracestate": {"type": "string"},
            "sourceshard": {"type": "integer"},
            "sourcesequence": {
                "type": "integer",
                "description": "Gapless per (source, sourceshard) over what was published to postern.events",
            },
            "data": {"$ref": f"#/components/schemas/{_schema_name(message)}"},
        },
    }


def asyncapi_document() -> Document:
    """The AsyncAPI document: exchanges as channels, queues as receiving operations."""
    schemas: Document = {}
    for message in MESSAGE_TYPES:
        schemas.update(_component_schemas(message))
    exchanges = sorted({message.exchange for message in MESSAGE_TYPES})
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Postern messages",
            "version": "1",
            "description": (
                "Commands and events between Postern's services. CloudEvents 1.0 in structured mode over AMQP 0-9-1, at"
                " least once, in order per subject. Ignore members that you do not know."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_key(exchange): _channel(exchange) for exchange in exchanges},
        "operations": {
            **{f"send_{_key(message.type)}": _send(message) for message in MESSAGE_TYPES},
            **{
                f"receive_{_key(queue.name)}": _receive(queue)
                for queue in TOPOLOGY.queues
                if any(_is_bound(queue, message) for message in MESSAGE_TYPES)
            },
        },
        "components": {
            "messages": {_key(message.type): _message(message) for message in MESSAGE_TYPES},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _channel(exchange: str) -> Document:
    return {
        "address": exchange,
        "description": f"Durable topic exchange {exchange}",
        "messages": {
            _key(message.type): {"$ref": f"#/components/messages/{_key(message.type)}"}
            for message in MESSAGE_TYPES
            if message.exchange == exchange
        },
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
            }
        },
    }


def _send(message: MessageType) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_key(message.exchange)}"},
        "messages": [_channel_message(message)],
        "bindings": {"amqp": {"cc": [message.routing_key], "deliveryMode": 2, "mandatory": True}},
    }


def _receive(queue: QueueSpec) -> Document:
    received = [message for message in MESSAGE_TYPES if _is_bound(queue, message)]
    return {
        "action": "receive",
        "title": queue.name,
        "channel": {"$ref": f"#/channels/{_key(received[0].exchange)}"},
        "messages": [_channel_message(message) for message in received],
        "bindings": {"amqp": {"ack": True}},
    }


def _is_bound(queue: QueueSpec, message: MessageType) -> bool:
    return any(
        exchange == message.exchange and pattern in ("#", message.routing_key) for exchange, pattern in queue.bindings
    )


def _channel_message(message: MessageType) -> Document:
    return {"$ref": f"#/channels/{_key(message.exchange)}/messages/{_key(message.type)}"}


def _message(message: MessageType) -> Document:
    return {
        "name": message.type,
        "title": message.model.__name__,
        "summary": (message.model.__doc__ or "").strip().split("\n")[0],
        "contentType": CONTENT_TYPE,
        "payload": envelope_schema(message),
    }


def _schema_name(message: MessageType) -> str:
    return message.model.__name__


def _component_schemas(message: MessageType) -> Document:
    """The payload's schema and those it uses, side by side under the document's components."""
    schema = message.model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    used = schema.pop("$defs", {})
    return {_schema_name(message): schema, **used}


def _key(name: str) -> str:
    """A name that AsyncAPI accepts as a key."""
    return name.replace(".", "_")
