"""An event as one readable line. Pure, so that a test can say what a person sees."""

from datetime import datetime
from typing import Any

from postern_common.contracts.registry import TYPE_PREFIX

TYPE_WIDTH = 26
_TRANSITION = "database.state_changed"


def short_type(event: dict[str, Any]) -> str:
    """Return the type as people say it: without prefix and version."""
    return str(event["type"]).removeprefix(TYPE_PREFIX).rpartition(".")[0]


def state_after(event: dict[str, Any]) -> str | None:
    """Return the state that the event moved the database to, None when it moved none."""
    return str(event["data"]["to"]) if short_type(event) == _TRANSITION else None


def describe(event: dict[str, Any], began: datetime) -> str:
    """Return ``time since the first one, type, what happened``."""
    offset = (moment(event) - began).total_seconds()
    return f"{offset:+8.2f} s  {short_type(event):<{TYPE_WIDTH}}{_what(event)}".rstrip()


def moment(event: dict[str, Any]) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(str(event["time"]))


def _what(event: dict[str, Any]) -> str:
    data = event.get("data", {})
    kind = short_type(event)
    if kind == _TRANSITION:
        reason = f"   ({data['reason']})" if data.get("reason") else ""
        return f"{data.get('from') or '·'} → {data['to']}{reason}"
    if kind == "database.observed":
        observed = data.get("observed", {})
        return f"{observed.get('ready_instances')} of {observed.get('instances')} instances ready"
    if kind == "database.applied":
        return ", ".join(sorted({str(item["kind"]) for item in data.get("objects", [])}))
    if kind == "database.apply_failed":
        return f"{data.get('code')}: {data.get('detail')}"
    if kind == "api.action":
        return f"{data.get('method', '')} {data.get('resource', '')} {data.get('outcome', '')}".strip()
    return f"generation {data['generation']}" if "generation" in data else ""
