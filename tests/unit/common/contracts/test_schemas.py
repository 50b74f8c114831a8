"""The committed contracts are those of the code, and they are true of real messages."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from tests.support.messages import received_event

from postern_common.contracts.cloudevent import encode
from postern_common.contracts.registry import BY_TYPE, MESSAGE_TYPES, MessageType
from postern_common.contracts.schemas import asyncapi_document, payload_schema

ROOT = Path(__file__).resolve().parents[4]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_schemas", ROOT / "tools" / "generate_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_change_of_a_contract_shows_in_the_committed_files() -> None:
    assert _generator().stale() == [], "run tools/generate_schemas.py and review the difference"


@pytest.mark.parametrize("message", MESSAGE_TYPES, ids=lambda message: message.type)
def test_every_payload_has_a_valid_schema_under_its_dataschema(message: MessageType) -> None:
    schema = payload_schema(message)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == message.dataschema
    committed = ROOT / "libs" / "common" / "schemas" / f"{message.type}.json"
    assert json.loads(committed.read_text()) == schema


def test_a_real_message_fits_the_schema_and_a_later_member_does_not_hurt() -> None:
    event = json.loads(encode(received_event()))
    schema = payload_schema(BY_TYPE[event["type"]])
    jsonschema.validate({**event["data"], "added_later": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({key: value for key, value in event["data"].items() if key != "generation"}, schema)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi_document()

    def resolve(pointer: str) -> None:
        node: Any = document
        for part in pointer.removeprefix("#/").split("/"):
            node = node[part]

    def walk(node: Any) -> int:
        if isinstance(node, dict):
            found = 0
            for key, value in node.items():
                if key == "$ref" and isinstance(value, str):
                    resolve(value)
                    found += 1
                else:
                    found += walk(value)
            return found
        return sum(walk(value) for value in node) if isinstance(node, list) else 0

    assert walk(document) > 30
    assert document["asyncapi"].startswith("3.1")
    assert yaml.safe_load((ROOT / "libs" / "common" / "asyncapi.yaml").read_text()) == document
