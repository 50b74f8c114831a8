"""Requests against the catalogue: complete desired states, or every fault; never anything else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.offers import offer

from postern_common.errors import ClientError
from postern_gateway.domain.problems import VIOLATIONS
from postern_gateway.domain.requests import CreateDatabase, PatchDatabase, parse_body
from postern_gateway.domain.validation import resolve_create

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.dictionaries(
    st.sampled_from([*CreateDatabase.model_fields, "odd", "", "~/"]),
    JSON | st.sampled_from(["orders", "dev-1", "standard-2", "20Gi", 17, 2, {"work_mem": "8MB"}, ["10.0.0.0/8"]]),
    max_size=9,
)


def create(document: object) -> tuple[Any, bool]:
    body, _ = parse_body(json.dumps(document).encode(), CreateDatabase)
    return resolve_create(offer(), body)


def refusal_or(call: Callable[[], Any]) -> Any:
    """What ``call`` returns, or the ``ClientError`` that it raises; any other error fails the test."""
    try:
        return call()
    except ClientError as error:
        return error


@given(MEMBERS)
def test_any_document_becomes_a_desired_state_or_a_listed_fault(document: dict[str, Any]) -> None:
    result = refusal_or(lambda: create(document)[0])
    if isinstance(result, ClientError):
        assert result.status == 422
        assert result.errors
        assert {fault.code for fault in result.errors} <= VIOLATIONS.keys()
        return
    desired = result
    assert desired.plan in {plan.name for plan in offer().catalogue.plans}
    assert 1 <= desired.instances <= 9


@given(st.binary(max_size=80))
def test_any_bytes_are_a_body_or_a_422(raw: bytes) -> None:
    for model in (CreateDatabase, PatchDatabase):
        result = refusal_or(lambda model=model: parse_body(raw, model))
        if isinstance(result, ClientError):
            assert result.status == 422
            assert result.errors


def test_the_plans_values_are_resolved_and_the_callers_win() -> None:
    desired, protection = create(
        {"name": "orders", "plan": "standard-2", "instances": 3, "parameters": {"work_mem": "32MB", "jit": False}}
    )
    assert (desired.cpu, desired.memory, desired.storage, desired.instances) == ("2", "4Gi", "20Gi", 3)
    assert desired.parameters["work_mem"] == "32MB"
    assert desired.parameters["shared_buffers"] == "512MB"
    assert desired.parameters["jit"] == "off"
    assert protection is True


@pytest.mark.parametrize(
    ("plan", "given_value", "expected"), [("dev-1", None, False), ("dev-1", True, True), ("startup-2", False, False)]
)
def test_protection_follows_the_plan_unless_it_is_said(plan: str, given_value: bool | None, expected: bool) -> None:
    members = {} if given_value is None else {"deletion_protection": given_value}
    assert create({"name": "orders", "plan": plan, **members})[1] is expected


def test_storage_classes_are_checked_where_they_are_listed() -> None:
    body, _ = parse_body(b'{"name": "a", "plan": "dev-1", "storage_class": "fast"}', CreateDatabase)
    assert resolve_create(offer("fast", "slow"), body)[0].storage_class == "fast"
    assert resolve_create(offer(), body)[0].storage_class == "fast"
    with pytest.raises(ClientError) as caught:
        resolve_create(offer("slow"), body)
    assert caught.value.errors[0].code == "unknown_storage_class"


def test_min_wal_size_stays_below_max_wal_size() -> None:
    with pytest.raises(ClientError) as caught:
        create({"name": "a", "plan": "dev-1", "parameters": {"min_wal_size": "2GB", "max_wal_size": "1GB"}})
    assert caught.value.errors[0].pointer == "/parameters/min_wal_size"
