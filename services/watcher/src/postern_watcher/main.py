"""``postern-watcher migrate | serve``."""

import argparse
import sys
from collections.abc import Sequence

from postern_common.errors import PosternError
from postern_common.logging import configure_logging
from postern_common.persistence import run_migrations
from postern_common.settings import DatabaseSettings, load_settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script. Ends with status 1 and one line on stderr when the work cannot begin."""
    options = _parser().parse_args(arguments)
    try:
        options.run()
    except PosternError as error:
        sys.stderr.write(f"postern-watcher: {error.detail}\n")
        raise SystemExit(1) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postern-watcher", description="Watches the clusters of Postern.")
    commands = parser.add_subparsers(required=True, metavar="migrate|serve")
    migrate = commands.add_parser("migrate", help="bring the schema up to date (POSTERN_DATABASE_URL: administrator)")
    migrate.set_defaults(run=_migrate)
    serve = commands.add_parser("serve", help="watch and announce transitions")
    serve.set_defaults(run=_serve)
    return parser


def _migrate() -> None:
    settings = load_settings(DatabaseSettings)
    configure_logging("postern-watcher", settings.log_level, settings.log_format)
    run_migrations(url=settings.database_url.get_secret_value(), schema="watcher", package="postern_watcher.migrations")


def _serve() -> None:
    from postern_common.runtime import serve  # noqa: PLC0415 - migrate needs no web server
    from postern_common.telemetry import configure_telemetry  # noqa: PLC0415
    from postern_watcher.bootstrap import NAME, build  # noqa: PLC0415
    from postern_watcher.settings import WatcherSettings  # noqa: PLC0415

    settings = load_settings(WatcherSettings)
    configure_logging(NAME, settings.log_level, settings.log_format)
    configure_telemetry(NAME)
    serve(lambda: build(settings), host=settings.host, port=settings.port)
