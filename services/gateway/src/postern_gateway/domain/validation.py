"""Requests against the catalogue: what is asked becomes a complete desired state, or a list of every fault in it.

Mirrors what CloudNativePG's webhook would refuse later, so that a bad request fails at once (design/kubernetes.md).
"""

import ipaddress
import re
from typing import Any

from postern_common.contracts.commands import DesiredState
from postern_common.contracts.identifiers import is_valid_name
from postern_common.errors import Violation
from postern_gateway.domain.catalogue import Offer, Plan
from postern_gateway.domain.parameters import ParameterRule
from postern_gateway.domain.problems import invalid
from postern_gateway.domain.quantities import parse_bytes, parse_postgres_memory
from postern_gateway.domain.records import DatabaseRecord
from postern_gateway.domain.requests import CreateDatabase, PatchDatabase, escape

_CLASS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_CIDR = re.compile(r"[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?")
_NAME_RULE = "lower-case letters, digits and hyphens, a letter first, no hyphen last, at most 40 characters"


def check_name(name: str) -> list[Violation]:
    """Faults of a project's or database's name."""
    return [] if is_valid_name(name) else [Violation("/name", "invalid_name", _NAME_RULE)]


def resolve_create(offer: Offer, body: CreateDatabase) -> tuple[DesiredState, bool]:
    """Desired state and deletion protection of a new database; the plan's values are resolved now (semantics 24).

    Raises ``ClientError`` 422 with every fault.
    """
    faults = check_name(body.name)
    plan = offer.catalogue.plan(body.plan)
    if plan is None:
        faults.append(_unknown_plan(offer))
    version = offer.default_version if body.version is None else body.version
    if version not in offer.versions:
        offered = ", ".join(map(str, offer.versions))
        faults.append(Violation("/version", "unknown_version", f"this installation runs {offered}"))
    faults += _check_storage(offer, body.storage) + _check_class(offer, body.storage_class)
    cidrs, cidr_faults = _check_cidrs(body.allowed_cidrs)
    given, parameter_faults = _check_parameters(offer, version, body.parameters)
    faults += cidr_faults + parameter_faults
    if plan is None or faults:
        raise invalid(*faults)
    desired = DesiredState(
        plan=plan.name,
        version=version,
        instances=plan.instances if body.instances is None else body.instances,
        cpu=plan.cpu,
        memory=plan.memory,
        storage=plan.storage if body.storage is None else body.storage,
        storage_class=body.storage_class,
        parameters={**plan.parameters, **given},
        allowed_cidrs=cidrs,
    )
    _refuse(check_together(desired))
    protection = plan.instances > 1 if body.deletion_protection is None else body.deletion_protection
    return desired, protection


def resolve_patch(
    offer: Offer, database: DatabaseRecord, body: PatchDatabase, given: frozenset[str]
) -> tuple[DesiredState, dict[str, str], bool, list[Violation]]:
    """Desired state, labels and protection after a merge patch, and the shrink it asks for, if any.

    The shrink is returned, not raised: a dry run tells it as rejected. Raises ``ClientError`` 422 with every other
    fault.
    """
    faults = _check_immutable(database, body, given) + _check_nulls(body, given)
    plan = offer.catalogue.plan(body.plan) if body.plan is not None else None
    if body.plan is not None and plan is None:
        faults.append(_unknown_plan(offer))
    faults += _check_storage(offer, body.storage) if body.storage != database.desired.storage else []
    cidrs, cidr_faults = _check_cidrs(body.allowed_cidrs)
    wanted = {name: value for name, value in (body.parameters or {}).items() if value is not None}
    parameters, parameter_faults = _check_parameters(offer, database.desired.version, wanted)
    _refuse(faults + cidr_faults + parameter_faults)

    changes: dict[str, Any] = {}
    if plan is not None:
        changes |= {"plan": plan.name, "cpu": plan.cpu, "memory": plan.memory}
    if body.instances is not None:
        changes["instances"] = body.instances
    if body.storage is not None and parse_bytes(body.storage) != parse_bytes(database.desired.storage):
        changes["storage"] = body.storage
    if "allowed_cidrs" in given:
        changes["allowed_cidrs"] = cidrs
    if "parameters" in given:
        plan_now = plan or offer.catalogue.plan(database.desired.plan)
        changes["parameters"] = _merge_parameters(database.desired.parameters, body, parameters, plan_now)
    desired = database.desired.model_copy(update=changes)
    _refuse(check_together(desired))
    protection = database.deletion_protection if body.deletion_protection is None else body.deletion_protection
    return desired, _merge_labels(database.labels, body, given), protection, _check_shrink(database, desired)


def check_together(desired: DesiredState) -> list[Violation]:
    """Faults that only show when members are taken together."""
    faults = []
    buffers = desired.parameters.get("shared_buffers")
    if buffers is not None and parse_postgres_memory(buffers, base_unit=8192) > parse_bytes(desired.memory):
        faults.append(
            Violation(
                "/parameters/shared_buffers", "invalid_value", f"{buffers} exceeds the plan's memory, {desired.memory}"
            )
        )
    low, high = desired.parameters.get("min_wal_size"), desired.parameters.get("max_wal_size")
    if low is not None and high is not None:
        unit = 1024 * 1024
        if parse_postgres_memory(low, base_unit=unit) > parse_postgres_memory(high, base_unit=unit):
            faults.append(Violation("/parameters/min_wal_size", "invalid_value", f"{low} exceeds max_wal_size, {high}"))
    return faults


def changed_restart_parameters(offer: Offer, before: DesiredState, after: DesiredState) -> list[str]:
    """Names of the parameters whose change restarts the instances."""
    rules = offer.catalogue.rules(after.version)
    names = sorted(before.parameters.keys() | after.parameters.keys())
    changed = (name for name in names if before.parameters.get(name) != after.parameters.get(name))
    return [name for name in changed if name in rules and rules[name].restart]


def _refuse(faults: list[Violation]) -> None:
    if faults:
        raise invalid(*faults)


def _unknown_plan(offer: Offer) -> Violation:
    return Violation("/plan", "unknown_plan", f"plans are {', '.join(plan.name for plan in offer.catalogue.plans)}")


def _check_storage(offer: Offer, storage: str | None) -> list[Violation]:
    if storage is None:
        return []
    try:
        size = parse_bytes(storage)
    except ValueError as error:
        return [Violation("/storage", "invalid_quantity", str(error))]
    low, high = offer.catalogue.storage.range
    if low <= size <= high:
        return []
    limits = offer.catalogue.storage
    return [Violation("/storage", "invalid_value", f"{storage} is outside {limits.minimum} to {limits.maximum}")]


def _check_class(offer: Offer, name: str | None) -> list[Violation]:
    if name is None or name in offer.storage_classes:
        return []
    if offer.storage_classes:
        offered = ", ".join(offer.storage_classes)
        return [Violation("/storage_class", "unknown_storage_class", f"storage classes are {offered}")]
    if _CLASS_NAME.fullmatch(name) is None:
        return [Violation("/storage_class", "invalid_value", "not a name of a Kubernetes object")]
    return []


def _check_cidrs(cidrs: list[str] | None) -> tuple[tuple[str, ...] | None, list[Violation]]:
    if cidrs is None:
        return None, []
    networks, faults = [], []
    for index, cidr in enumerate(cidrs):
        try:
            networks.append(_network(cidr))
        except ValueError as error:
            faults.append(Violation(f"/allowed_cidrs/{index}", "invalid_cidr", str(error)[:200]))
    return tuple(dict.fromkeys(networks)), faults


def _network(cidr: str) -> str:
    """Raises ``ValueError``. A zone (``fe80::1%eth0``) may hold any character, line feeds too, and would be in pg_hba
    as it is.
    """
    if _CIDR.fullmatch(cidr) is None:
        raise ValueError(f"{cidr!r} is not a network in CIDR notation")
    return str(ipaddress.ip_network(cidr))


def _check_parameters(offer: Offer, version: int, wanted: dict[str, Any]) -> tuple[dict[str, str], list[Violation]]:
    rules = offer.catalogue.rules(version)
    values: dict[str, str] = {}
    faults: list[Violation] = []
    for name, value in wanted.items():
        fault = _check_parameter(offer, rules.get(name), name, version)
        if fault is None:
            try:
                values[name] = rules[name].normalise(value)
            except ValueError as error:
                fault = Violation(f"/parameters/{escape(name)}", "invalid_value", f"{name} {error}"[:300])
        if fault is not None:
            faults.append(fault)
    return values, faults


def _check_parameter(offer: Offer, rule: ParameterRule | None, name: str, version: int) -> Violation | None:
    pointer = f"/parameters/{escape(name)}"
    if name in offer.catalogue.fixed_parameters:
        return Violation(pointer, "fixed_parameter", f"{name} is set by the operator itself")
    if rule is None:
        return Violation(pointer, "unknown_parameter", f"{name} is not allowed for PostgreSQL {version}"[:300])
    return None


def _check_immutable(database: DatabaseRecord, body: PatchDatabase, given: frozenset[str]) -> list[Violation]:
    now = {
        "name": database.name,
        "version": database.desired.version,
        "storage_class": database.desired.storage_class,
    }
    return [
        Violation(f"/{member}", "immutable", f"{member} cannot change after creation")
        for member, value in now.items()
        if member in given and getattr(body, member) != value
    ]


def _check_nulls(body: PatchDatabase, given: frozenset[str]) -> list[Violation]:
    return [
        Violation(f"/{member}", "required", f"{member} cannot be removed")
        for member in ("plan", "instances", "storage", "deletion_protection")
        if member in given and getattr(body, member) is None
    ]


def _merge_parameters(
    before: dict[str, str], body: PatchDatabase, values: dict[str, str], plan: Plan | None
) -> dict[str, str]:
    """RFC 7396 on ``parameters``; what is removed falls back to the plan's default, where it has one."""
    defaults = {} if plan is None else plan.parameters
    if body.parameters is None:
        return dict(defaults)
    removed = {name for name, value in body.parameters.items() if value is None}
    merged = {name: value for name, value in before.items() if name not in removed} | values
    return merged | {name: defaults[name] for name in removed if name in defaults}


def _merge_labels(before: dict[str, str], body: PatchDatabase, given: frozenset[str]) -> dict[str, str]:
    if "labels" not in given:
        return before
    if body.labels is None:
        return {}
    merged = {**before, **body.labels}
    return {key: value for key, value in merged.items() if value is not None}


def _check_shrink(database: DatabaseRecord, desired: DesiredState) -> list[Violation]:
    if desired.storage == database.desired.storage or parse_bytes(desired.storage) >= database.largest_storage:
        return []
    detail = f"volumes only grow; {database.largest_storage} bytes have been applied"
    return [Violation("/storage", "storage_shrink", detail)]
