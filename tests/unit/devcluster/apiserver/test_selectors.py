"""Label and field selectors."""

from typing import Any

import pytest

from postern_devcluster.apiserver.kinds import BY_NAME, PODS
from postern_devcluster.apiserver.selectors import exact_name, field_selector, label_selector
from postern_devcluster.apiserver.status import ApiError


def labelled(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "x", "labels": labels}}


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "2"}, False),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a in (1,2),b", {"a": "2", "b": ""}, True),
        ("a in (1, 2)", {"a": "3"}, False),
        ("a notin (1,2)", {}, True),
        ("a", {"a": "x"}, True),
        ("!a", {"a": "x"}, False),
        ("!a", {}, True),
        ("a=", {"a": ""}, True),
        ("", {}, True),
    ],
)
def test_labels_select(selector: str, labels: dict[str, str], selected: bool) -> None:
    assert label_selector(selector)(labelled(**labels)) is selected


def test_prefixed_labels_select() -> None:
    body = {"metadata": {"labels": {"cnpg.io/cluster": "pg1"}}}
    assert label_selector("cnpg.io/cluster=pg1")(body)
    assert label_selector("cnpg.io/cluster in (pg1,pg2)")(body)


@pytest.mark.parametrize("selector", ["a b", "a=1=2", "in (x)", "a in x"])
def test_nonsense_is_a_bad_request(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        label_selector(selector)
    assert refused.value.code == 400


def test_fields_select() -> None:
    pod = {"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": "Running"}, "spec": {"nodeName": "m"}}
    assert field_selector("status.phase=Running,spec.nodeName=m", PODS)(pod)
    assert not field_selector("status.phase!=Running", PODS)(pod)
    event = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"}}
    assert field_selector("involvedObject.kind=Pod,involvedObject.name=p", BY_NAME["events"])(event)


def test_a_field_nobody_indexes_is_a_bad_request() -> None:
    with pytest.raises(ApiError, match="field label not supported"):
        field_selector("spec.instances=2", BY_NAME["clusters.postgresql.cnpg.io"])


def test_a_selected_name_is_found_without_a_scan() -> None:
    assert exact_name("metadata.namespace=n,metadata.name=x") == "x"
    assert exact_name("metadata.name!=x") == ""
