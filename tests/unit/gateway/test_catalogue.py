"""The committed catalogue, and the faults that its validation finds."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.gateway.offers import document, offer

from postern_gateway.domain.catalogue import build_offer, parse_catalogue
from postern_gateway.domain.quantities import parse_bytes, parse_postgres_memory


def test_the_plans_are_those_of_the_design() -> None:
    plans = {plan.name: plan for plan in offer().catalogue.plans}
    assert set(plans) == {
        "dev-1",
        "startup-1",
        "startup-2",
        "standard-1",
        "standard-2",
        "standard-4",
        "enterprise-4",
        "enterprise-8",
    }
    for plan in plans.values():
        # a small machine runs several databases of the smallest plans at once
        buffers = parse_postgres_memory(plan.parameters["shared_buffers"], base_unit=8192)
        assert buffers * 4 <= parse_bytes(plan.memory)


def test_the_highest_version_is_the_default_and_settings_narrow_it() -> None:
    assert offer().default_version == 18
    catalogue = parse_catalogue(document())
    assert build_offer(catalogue, (15, 14), ()).default_version == 15
    for versions in ((), (13,)):
        with pytest.raises(ValueError, match="versions"):
            build_offer(catalogue, versions, ())


def _break(change: Any) -> dict[str, Any]:
    broken: dict[str, Any] = copy.deepcopy(document())
    change(broken)
    return broken


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["plans"][0].update(memory="lots"),
        lambda d: d["plans"][0].update(instances=0),
        lambda d: d["plans"][0].update(colour="blue"),
        lambda d: d["plans"].append(d["plans"][0]),
        lambda d: d["plans"][0]["parameters"].update(shared_buffers="64GB"),
        lambda d: d["plans"][0]["parameters"].update(wal_level="minimal"),
        lambda d: d["plans"][0]["parameters"].update(io_workers="2"),
        lambda d: d["plans"][0].update(storage="1Ki"),
        lambda d: d["fixed_parameters"].append("work_mem"),
        lambda d: d["parameters"].update(odd={"type": "integer"}),
        lambda d: d["parameters"].update(odd={"type": "enum"}),
        lambda d: d.update(format=2),
    ],
)
def test_a_faulty_catalogue_does_not_start(change: Any) -> None:
    with pytest.raises(ValidationError):
        parse_catalogue(_break(change))


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("work_mem", "16MB", "16MB"),
        ("work_mem", "16 MB", "16MB"),
        ("work_mem", 4096, "4096"),
        ("autovacuum_work_mem", -1, "-1"),
        ("jit", True, "on"),
        ("jit", "FALSE", "off"),
        ("random_page_cost", 1.1, "1.1"),
        ("max_connections", "250", "250"),
        ("statement_timeout", "30s", "30s"),
        ("synchronous_commit", "remote_apply", "remote_apply"),
        ("TimeZone", "Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_a_parameter_is_stored_as_postgresql_writes_it(name: str, given: Any, stored: str) -> None:
    assert offer().catalogue.parameters[name].normalise(given) == stored


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("work_mem", "1kB"),
        ("work_mem", "16MiB"),
        ("work_mem", "16MB; DROP TABLE x"),
        ("work_mem", True),
        ("autovacuum_work_mem", "-2"),
        ("jit", "maybe"),
        ("random_page_cost", "nan"),
        ("random_page_cost", "1e3"),
        ("max_connections", 2.5),
        ("max_connections", 5),
        ("statement_timeout", "1 fortnight"),
        ("checkpoint_timeout", "1s"),
        ("synchronous_commit", "maybe"),
        ("TimeZone", "'; DROP TABLE x"),
        ("TimeZone", "Europe/Berln"),
        ("huge_pages", "on"),
    ],
)
def test_a_value_outside_its_rule_is_refused(name: str, given: Any) -> None:
    with pytest.raises(ValueError, match=r"must|outside|unit|is not"):
        offer().catalogue.parameters[name].normalise(given)
