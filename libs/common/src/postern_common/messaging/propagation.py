"""Context of a message: its trace, span and log fields. Ours, because the instrumentation package loses context with
callbacks that only enqueue (design/observability.md, traces)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry.trace import SpanKind

from postern_common.contracts.cloudevent import CloudEvent
from postern_common.telemetry import Attribute, links_to, start_span, trace_context


@contextmanager
def processing(event: CloudEvent, queue: str) -> Iterator[None]:
    """Inside, spans are children of the event's creation and every log line names the message."""
    bound = {
        "message_id": str(event.id),
        "message_type": event.type,
        "subject": event.subject,
        "queue": queue,
    }
    if event.operationid is not None:
        bound["operation_id"] = str(event.operationid)
    if event.project is not None:
        bound["project"] = event.project
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": queue,
        "messaging.message.id": bound["message_id"],
    }
    with (
        structlog.contextvars.bound_contextvars(**bound),
        trace_context(event.traceparent, event.tracestate),
        start_span(f"process {queue}", kind=SpanKind.CONSUMER, attributes=attributes),
    ):
        yield


@contextmanager
def processing_batch(events: Sequence[CloudEvent], queue: str) -> Iterator[None]:
    """One span for the batch, with a link to each event's creation."""
    attributes: dict[str, Attribute] = {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": queue,
        "messaging.batch.message_count": len(events),
    }
    links = links_to([event.traceparent for event in events])
    with (
        structlog.contextvars.bound_contextvars(queue=queue),
        trace_context(None),
        start_span(f"process {queue}", kind=SpanKind.CONSUMER, links=links, attributes=attributes),
    ):
        yield
