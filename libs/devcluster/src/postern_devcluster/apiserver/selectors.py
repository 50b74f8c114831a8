"""Label and field selectors, parsed once per request into a predicate over objects."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from postern_devcluster.apiserver.kinds import Kind
from postern_devcluster.apiserver.status import Object, bad_request

Predicate = Callable[[Object], bool]

_TERM = re.compile(r"\s*(?P<key>[^\s,!=()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)\s*(?:,|$)")
_KEY = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_EQUALITY = re.compile(rf"^(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)$")
_EXISTS = re.compile(rf"^(?P<absent>!)?\s*(?P<key>{_KEY})$")
_NUMERIC = re.compile(rf"^(?P<key>{_KEY})\s*(?P<operator>[<>])\s*(?P<value>\d+)$")

_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase"}
        | {"status.podIP", "status.nominatedNodeName"}
    ),
    "events": frozenset(
        {
            f"involvedObject.{name}"
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        }
        | {"reason", "reportingComponent", "source", "type"}
    ),
    "secrets": frozenset({"type"}),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "jobs.batch": frozenset({"status.successful"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
}


def everything(_body: Object) -> bool:
    """The predicate of no selector."""
    return True


def label_selector(text: str) -> Predicate:
    """Parse a label selector (equality, ``in``, ``notin``, existence). Raises 400."""
    terms = [_label_term(term) for term in _split(text)]
    if not terms:
        return everything

    def matches(body: Object) -> bool:
        labels = body["metadata"].get("labels") or {}
        return all(term(labels) for term in terms)

    return matches


def _split(text: str) -> list[str]:
    """Terms between commas that are outside parentheses."""
    terms, start, depth = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            terms.append(text[start:index])
            start = index + 1
    terms.append(text[start:])
    return [term.strip() for term in terms if term.strip()]


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _TERM.fullmatch(term):
        key = match["key"]
        values = frozenset(value.strip() for value in match["values"].split(","))
        if match["operator"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUALITY.fullmatch(term):
        key, value = match["key"], match["value"]
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.fullmatch(term):
        key = match["key"]
        if match["absent"]:
            return lambda labels: key not in labels
        return lambda labels: key in labels
    if match := _NUMERIC.fullmatch(term):
        key, bound, greater = match["key"], int(match["value"]), match["operator"] == ">"
        return lambda labels: labels.get(key, "").isdigit() and (int(labels[key]) > bound) is greater
    raise bad_request(f"unable to parse requirement: {term!r}")


def field_selector(text: str, kind: Kind) -> Predicate:
    """Parse a field selector. Raises 400 for fields that this kind does not index."""
    supported = _FIELDS.get(kind.resource, frozenset())
    terms: list[tuple[str, bool, str]] = []
    for term in (part.strip() for part in text.split(",")):
        if not term:
            continue
        match = re.fullmatch(r"([A-Za-z.]+)\s*(==|=|!=)\s*(.*)", term)
        if match is None:
            raise bad_request(f"invalid field selector: {term!r}")
        name, operator, value = match.groups()
        if name not in ("metadata.name", "metadata.namespace") and name not in supported:
            raise bad_request(f'field label not supported: "{name}"')
        terms.append((name, operator != "!=", value))
    if not terms:
        return everything
    return lambda body: all((_field(body, name) == value) is equal for name, equal, value in terms)


def exact_name(text: str) -> str:
    """The name in ``metadata.name=<name>`` where the selector holds one: it needs no scan."""
    for term in text.split(","):
        name, separator, value = term.strip().replace("==", "=").partition("=")
        if separator and name == "metadata.name":
            return value
    return ""


def _field(body: Object, path: str) -> str:
    value: Any = body
    if path == "source":
        return str(body.get("source", {}).get("component", ""))
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
