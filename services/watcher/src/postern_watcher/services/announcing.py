"""Transitions as CloudEvents: payload, attribution to the open operation, and the trace (semantics 10)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.events import (
    DatabaseObserved,
    DatabaseStateChanged,
    ObjectDrifted,
    ObjectReference,
    Observation,
)
from postern_common.contracts.kubernetes import CNPG_API_VERSION
from postern_common.telemetry import current_traceparent, links_to, start_span, trace_context
from postern_watcher.domain.drift import Drift
from postern_watcher.domain.record import Operation, Record, Transition

SOURCE = "/postern/watcher"


@dataclass(frozen=True, slots=True)
class Drifted:
    """A drift and the record of the database that it was found on."""

    record: Record
    drift: Drift


def announce(news: Transition | Drifted) -> CloudEvent:
    """The event of a transition or drift; its id is new: store it in the transaction that makes it true."""
    if isinstance(news, Drifted):
        return _announce_drift(news)
    record, seen = news.record, news.record.observed
    model = DatabaseStateChanged if news.changed else DatabaseObserved
    operation_id = _uuid(news.operation.id) if news.operation is not None else None
    payload = model(
        database_id=UUID(record.database_id),
        project_id=UUID(record.project_id),
        project=record.project,
        name=record.name,
        revision=record.revision,
        generation=seen.generation,
        observed_generation=seen.observed_generation,
        from_state=news.from_state,
        to_state=seen.state,
        reason=seen.reason.value,
        message=seen.message,
        observed=Observation(
            instances=seen.instances,
            ready_instances=seen.ready_instances,
            primary=seen.primary,
            version=seen.version,
            storage=seen.storage,
            image=seen.image,
        ),
        operation_id=operation_id,
    )
    with _span("database.observe", news.operation, news.last_operation, record):
        traceparent, tracestate = current_traceparent()
        return build_event(
            payload,
            source=SOURCE,
            subject=record.database_id,
            project=record.project,
            project_id=payload.project_id,
            operation_id=operation_id,
            traceparent=traceparent,
            tracestate=tracestate,
        )


def _announce_drift(news: Drifted) -> CloudEvent:
    record = news.record
    payload = ObjectDrifted(
        database_id=UUID(record.database_id),
        project_id=UUID(record.project_id),
        project=record.project,
        name=record.name,
        object=ObjectReference(
            api_version=CNPG_API_VERSION, kind="Cluster", name=record.cluster_name, namespace=record.namespace
        ),
        who=news.drift.who,
        what=news.drift.what,
    )
    with _span("database.drift", None, record.operation, record):
        traceparent, tracestate = current_traceparent()
        return build_event(
            payload,
            source=SOURCE,
            subject=record.database_id,
            project=record.project,
            project_id=payload.project_id,
            traceparent=traceparent,
            tracestate=tracestate,
        )


@contextmanager
def _span(name: str, operation: Operation | None, last: Operation | None, record: Record) -> Iterator[None]:
    """A span of the open operation's trace, else the root of a new trace with a link to the last operation's."""
    links = [] if operation is not None else links_to([last.traceparent if last is not None else None])
    attributes: dict[str, str | bool | int | float] = {
        "postern.database_id": record.database_id,
        "postern.revision": record.revision,
    }
    with (
        trace_context(operation.traceparent if operation is not None else None),
        start_span(name, links=links, attributes=attributes),
    ):
        yield


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
