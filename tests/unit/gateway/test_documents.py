"""The committed OpenAPI document and the error reference say what the code does."""

import json
import re
from pathlib import Path

from openapi_spec_validator import validate

from postern_common.http import PROBLEMS as SHARED
from postern_common.telemetry import service_version
from postern_gateway.domain.problems import PROBLEMS, VIOLATIONS
from postern_gateway.routes.docs_page import render_page
from postern_gateway.routes.error_reference import render_errors
from postern_gateway.routes.openapi import build_document
from postern_gateway.routes.policy import POLICY
from postern_gateway.routes.table import ENDPOINTS

DOCS = Path(__file__).parents[3] / "docs" / "api"
SOURCES = Path(__file__).parents[3] / "services" / "gateway" / "src" / "postern_gateway"


def test_the_document_is_valid_openapi() -> None:
    validate(build_document(service_version()))


def test_the_committed_document_is_the_codes_own() -> None:
    """To change it: ``postern-gateway openapi > docs/api/openapi.json``, and look at the difference."""
    assert json.loads((DOCS / "openapi.json").read_text()) == json.loads(json.dumps(build_document(service_version())))


def test_the_error_reference_is_the_codes_own() -> None:
    """To change it: ``postern-gateway errors > docs/api/errors.md``."""
    assert (DOCS / "errors.md").read_text() == render_errors()


def test_every_code_that_is_raised_is_listed() -> None:
    text = "".join(path.read_text() for path in SOURCES.rglob("*.py"))
    raised = set(re.findall(r'refuse\(\s*"([a-z_]+)"', text))
    assert raised <= PROBLEMS.keys()
    faults = set(re.findall(r'Violation\(\s*(?:f?"[^"]*"|[\w\[\]:.]+),\s*"([a-z_]+)"', text))
    assert faults <= VIOLATIONS.keys()
    assert faults > {"unknown_plan", "invalid_name", "invalid_cursor"}


def test_titles_agree_with_the_shared_ones() -> None:
    assert {code: p.title for code, p in PROBLEMS.items() if code in SHARED} == {
        code: SHARED[code] for code in PROBLEMS if code in SHARED
    }


def test_every_route_has_a_right_and_an_entry() -> None:
    served = {(e.method, e.path) for e in ENDPOINTS}
    assert served <= POLICY.keys()
    assert {path for _, path in POLICY.keys() - served} == {"/healthz", "/openapi.json", "/docs"}
    document = build_document("0")
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["summary"]
        assert all(code in PROBLEMS for code in endpoint.problems)
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)


def test_examples_have_the_members_of_their_schemas() -> None:
    document = build_document("0")
    schemas = document["components"]["schemas"]
    checked = 0
    for endpoint in ENDPOINTS:
        for reply in endpoint.replies.values():
            if reply.example is None or reply.model is None or reply.page:
                continue
            required = set(schemas[reply.model.__name__].get("required", ()))
            assert required <= reply.example.keys(), (endpoint.path, required - reply.example.keys())
            assert reply.example.keys() <= schemas[reply.model.__name__]["properties"].keys()
            checked += 1
    assert checked > 8


def test_the_reference_page_needs_nothing_from_elsewhere() -> None:
    page = render_page(build_document("0"))
    assert "<script" not in page
    assert "src=" not in page
    assert "/v1/projects/{project}/databases" in page
