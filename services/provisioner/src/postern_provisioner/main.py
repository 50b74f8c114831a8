"""The console script ``postern-provisioner``: ``migrate`` and ``serve``."""

import argparse
from collections.abc import Sequence

from postern_common.logging import configure_logging
from postern_common.persistence import run_migrations
from postern_common.runtime import serve
from postern_common.settings import DatabaseSettings, load_settings
from postern_common.telemetry import configure_telemetry

SERVICE = "provisioner"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Ends the process with status 2 when settings are missing or wrong."""
    parser = argparse.ArgumentParser(prog="postern-provisioner", description="Reconciles databases into Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the schema to the newest version (an administrator's database URL)")
    commands.add_parser("serve", help="run the service")
    if parser.parse_args(arguments).command == "migrate":
        _migrate()
    else:
        _serve()


def _migrate() -> None:
    settings = load_settings(DatabaseSettings)
    configure_logging(SERVICE, settings.log_level, settings.log_format)
    run_migrations(
        url=settings.database_url.get_secret_value(), schema=SERVICE, package="postern_provisioner.migrations"
    )


def _serve() -> None:
    # Imported here: migrating needs neither the broker nor Kubernetes.
    from postern_provisioner.bootstrap import build  # noqa: PLC0415
    from postern_provisioner.settings import ProvisionerSettings  # noqa: PLC0415

    settings = ProvisionerSettings.load()
    configure_logging(SERVICE, settings.log_level, settings.log_format)
    configure_telemetry(SERVICE)
    serve(lambda: build(settings), host=settings.host, port=settings.port)
