"""Console script ``postern-gateway``: ``migrate``, ``serve``, and ``openapi`` and ``errors``, which print documents."""

import json
import sys
from collections.abc import Sequence

from postern_common.errors import PosternError
from postern_common.logging import configure_logging
from postern_common.persistence import run_migrations
from postern_common.runtime import serve
from postern_common.settings import DatabaseSettings, load_settings
from postern_common.telemetry import configure_telemetry, service_version

_USAGE = "usage: postern-gateway migrate|serve|openapi|errors\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand; ends the process with 0, 1 (it failed, the reason is told) or 2 (wrong use or settings)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"migrate": _migrate, "serve": _serve, "openapi": _print_openapi, "errors": _print_errors}
    if len(given) != 1 or given[0] not in commands:
        sys.stderr.write(_USAGE)
        raise SystemExit(2)
    try:
        commands[given[0]]()
    except PosternError as error:
        sys.stderr.write(f"postern-gateway {given[0]}: {error.detail}\n")
        raise SystemExit(1) from None


def _migrate() -> None:
    settings = load_settings(DatabaseSettings)
    configure_logging("gateway", settings.log_level, settings.log_format)
    run_migrations(url=settings.database_url.get_secret_value(), schema="gateway", package="postern_gateway.migrations")


def _serve() -> None:
    from postern_gateway.bootstrap import build  # noqa: PLC0415 (migrating must not load the web stack)
    from postern_gateway.settings import GatewaySettings  # noqa: PLC0415

    settings = GatewaySettings.load()
    configure_logging("gateway", settings.log_level, settings.log_format)
    configure_telemetry("gateway")
    serve(lambda: build(settings), host=settings.host, port=settings.port)


def _print_openapi() -> None:
    from postern_gateway.routes.openapi import build_document  # noqa: PLC0415

    sys.stdout.write(json.dumps(build_document(service_version()), indent=2, ensure_ascii=False) + "\n")


def _print_errors() -> None:
    from postern_gateway.routes.error_reference import render_errors  # noqa: PLC0415

    sys.stdout.write(render_errors())
