"""Kubernetes' protobuf bodies, as kubectl's ``create`` and ``auth can-i`` send them: decoded into JSON objects.

Only messages that those commands send, and only their common fields. Separate because nobody else speaks this format:
answers are always JSON, which the same clients take. Field numbers are those of Kubernetes' ``generated.proto``.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from postern_devcluster.apiserver.status import Object, bad_request, unsupported_media_type

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

_Fields = Mapping[int, tuple[str, Any]]
"""Field number to name and type: "text", "bytes", "texts" and "blobs" (maps), or the fields of a message."""

_METADATA: _Fields = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    11: ("labels", "texts"),
    12: ("annotations", "texts"),
}
_REVIEW: _Fields = {
    1: (
        "resourceAttributes",
        {
            1: ("namespace", "text"),
            2: ("verb", "text"),
            3: ("group", "text"),
            4: ("version", "text"),
            5: ("resource", "text"),
            6: ("subresource", "text"),
            7: ("name", "text"),
        },
    ),
    2: ("nonResourceAttributes", {1: ("path", "text"), 2: ("verb", "text")}),
}
_MESSAGES: Mapping[str, _Fields] = {
    "Namespace": {1: ("metadata", _METADATA)},
    "ServiceAccount": {1: ("metadata", _METADATA)},
    "ConfigMap": {1: ("metadata", _METADATA), 2: ("data", "texts"), 3: ("binaryData", "blobs")},
    "Secret": {1: ("metadata", _METADATA), 2: ("data", "blobs"), 3: ("type", "text"), 4: ("stringData", "texts")},
    "SelfSubjectAccessReview": {1: ("metadata", _METADATA), 2: ("spec", _REVIEW)},
}


def decode(raw: bytes) -> Object:
    """The object in a protobuf body. Raises 415 for kinds that are not known here, 400 for a broken body."""
    if not raw.startswith(_MAGIC):
        raise bad_request("the body is not in Kubernetes' protobuf format")
    try:
        envelope = {number: value for number, value in _read(raw[len(_MAGIC) :]) if isinstance(value, bytes)}
        types = {number: value for number, value in _read(envelope.get(1, b"")) if isinstance(value, bytes)}
        api_version, kind = types.get(1, b"").decode(), types.get(2, b"").decode()
        fields = _MESSAGES.get(kind)
        if fields is None:
            raise unsupported_media_type(("application/json", "application/yaml"))
        return {"apiVersion": api_version, "kind": kind, **_message(envelope.get(2, b""), fields)}
    except (IndexError, ValueError) as error:
        raise bad_request(f"error decoding the body: {error}") from None


def _message(raw: bytes, fields: _Fields) -> Object:
    decoded: Object = {}
    for number, value in _read(raw):
        if number not in fields or not isinstance(value, bytes):
            continue
        name, form = fields[number]
        if form in ("texts", "blobs"):
            entry = {each: part for each, part in _read(value) if isinstance(part, bytes)}
            decoded.setdefault(name, {})[entry.get(1, b"").decode()] = _scalar(entry.get(2, b""), form == "blobs")
        elif isinstance(form, str):
            if value:
                decoded[name] = _scalar(value, form == "bytes")
        else:
            decoded[name] = _message(value, form)
    return decoded


def _scalar(value: bytes, is_binary: bool) -> str:
    return base64.b64encode(value).decode() if is_binary else value.decode()


def _read(raw: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Fields of a message in wire format. Raises ``IndexError`` or ``ValueError`` for a broken one."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(raw, position)
            yield number, value
        elif wire == 2:
            length, position = _varint(raw, position)
            if position + length > len(raw):
                raise ValueError("a field is longer than its message")
            yield number, raw[position : position + length]
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = raw[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
