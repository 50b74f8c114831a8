"""Traces: one provider per process and the few calls the services need, so that span handling has one home.

No exporter is attached yet: spans exist for their ids (logs, events, operations and the ledger carry them). The OTLP
exporters belong into ``configure_telemetry`` and nowhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()

Attribute = str | bool | int | float


@cache
def service_version() -> str:
    """Version of the shared library; all distributions are released together. Read once: every span asks for it."""
    try:
        return version("postern-common")
    except PackageNotFoundError:
        return "unknown"


def configure_telemetry(service: str) -> None:
    """Make the tracer provider of this process; call it once, in ``main``."""
    resource = Resource.create(
        {"service.name": service, "service.namespace": "postern", "service.version": service_version()}
    )
    trace.set_tracer_provider(TracerProvider(resource=resource))


def tracer() -> Tracer:
    """The tracer of Postern; without ``configure_telemetry`` its spans are no-ops."""
    return trace.get_tracer("postern", service_version())


def current_traceparent() -> tuple[str | None, str | None]:
    """W3C ``traceparent`` and ``tracestate`` of the current span, or ``(None, None)``."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent"), carrier.get("tracestate")


def current_trace_id() -> str | None:
    """The current trace's id as 32 hex digits."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def _remote_context(traceparent: str, tracestate: str | None) -> otel_context.Context:
    carrier = {"traceparent": traceparent}
    if tracestate:
        carrier["tracestate"] = tracestate
    return _PROPAGATOR.extract(carrier, context=otel_context.Context())


@contextmanager
def trace_context(traceparent: str | None, tracestate: str | None = None) -> Iterator[None]:
    """Spans started inside are children of the remote span; without one (or a malformed one) they start a new trace."""
    context = _remote_context(traceparent, tracestate) if traceparent else otel_context.Context()
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


def links_to(traceparents: Sequence[str | None]) -> list[Link]:
    """Links to remote spans; malformed and absent ones are left out."""
    links: list[Link] = []
    for traceparent in dict.fromkeys(traceparents):
        if traceparent:
            span_context = trace.get_current_span(_remote_context(traceparent, None)).get_span_context()
            if span_context.is_valid:
                links.append(Link(span_context))
    return links


@contextmanager
def start_span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: Sequence[Link] = (),
    attributes: Mapping[str, Attribute] | None = None,
    **more: Attribute,
) -> Iterator[Span]:
    """A span that is current inside the block. Dotted attribute names go into ``attributes``."""
    merged: dict[str, Attribute] = {**(attributes or {}), **more}
    with tracer().start_as_current_span(name, kind=kind, links=links, attributes=merged) as span:
        yield span
