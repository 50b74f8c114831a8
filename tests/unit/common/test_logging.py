"""A log line is one JSON object with its trace and without a credential."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from postern_common.logging import configure_logging, get_logger, scrub
from postern_common.telemetry import trace_context


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_names_service_trace_and_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("watcher", "info", "json")
    with (
        structlog.contextvars.bound_contextvars(operation_id="o1"),
        trace_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ):
        get_logger().info("state_changed", text="two\nlines")
    get_logger().debug("too_quiet_to_show")
    (line,) = _lines(capsys)
    assert line["event"] == "state_changed"
    assert line["service"] == "watcher"
    assert line["operation_id"] == "o1"
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["level"] == "info"


def test_credentials_in_urls_never_get_out_of_texts_or_stack_traces(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("watcher", "info", "json")
    url = "postgresql://u:canary-word@h/db"

    def connect() -> None:
        raise RuntimeError(f"cannot connect to {url}")

    try:
        connect()
    except RuntimeError:
        get_logger().exception("connect_failed", url=url)
    logging.getLogger("some.library").error("lost %s", url)
    first, second = _lines(capsys)
    assert "canary" not in json.dumps([first, second])
    assert "RuntimeError" in str(first["exception"])
    assert second["logger"] == "some.library"
    assert second["service"] == "watcher"


def test_what_is_no_credential_stays() -> None:
    assert scrub("see https://example.org/a@b") == "see https://example.org/a@b"
    assert scrub("amqp://guest:guest@h:5672/v") == "amqp://***@h:5672/v"
