"""Structured logs: one JSON object a line on stdout, constant event names, identifiers as keywords.

Owns how a record looks, what is bound to it (service, trace, contextvars) and that no credential of a URL gets into it.
Records of libraries (standard ``logging``) take the same way.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, Literal

import msgspec
import structlog
from opentelemetry import trace

get_logger = structlog.get_logger

_CREDENTIALS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@'\"]+@")
_ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
_LIBRARY_LEVELS: Final = {
    "kubernetes_asyncio": logging.INFO,  # logs response bodies at DEBUG
    "aiormq": logging.ERROR,  # the supervised connection says what matters
    "aio_pika": logging.ERROR,
    "uvicorn": logging.WARNING,
    "alembic": logging.INFO,
    "sqlalchemy": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpx": logging.WARNING,  # a line with the address for every request
    "httpcore": logging.WARNING,
}

Processor = Callable[[Any, str, MutableMapping[str, Any]], Any]


def scrub(text: str) -> str:
    """The text without ``user:password@`` in its URLs."""
    return _CREDENTIALS.sub(r"\g<scheme>***@", text)


def _scrub_values(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = scrub(value)
    return event


def _add_trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


def _json_line(_: object, __: str, event: Mapping[str, Any]) -> str:
    return _ENCODER.encode(event).decode()


def configure_logging(service: str, level: str, format: Literal["json", "console"]) -> None:  # noqa: A002
    """Set up structlog and the standard library's logging for this process; call it once, first thing in ``main``."""

    def add_service(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        _add_trace,
        structlog.processors.format_exc_info,
        _scrub_values,
    ]
    if format == "console":
        shared.remove(structlog.processors.format_exc_info)
    renderer: Processor = structlog.dev.ConsoleRenderer() if format == "console" else _json_line
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(library_level, threshold))
