"""``postern-audit migrate | serve | verify``."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from postern_audit.settings import AuditSettings, VerifySettings
from postern_common.errors import PosternError
from postern_common.logging import configure_logging
from postern_common.persistence import run_migrations
from postern_common.settings import DatabaseSettings, load_settings

INTACT: Final = 0
BROKEN: Final = 1
NOT_VERIFIED: Final = 2
_PROGRESS_SECONDS: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script. ``verify`` ends with 0 (intact), 1 (touched, see the first bad position) or 2 (not verified)."""
    options = _parser().parse_args(arguments)
    try:
        raise SystemExit(options.run(options))
    except PosternError as error:
        sys.stderr.write(f"postern-audit: {error.detail}\n")
        raise SystemExit(NOT_VERIFIED) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postern-audit", description="The ledger of Postern.")
    commands = parser.add_subparsers(required=True, metavar="migrate|serve|verify")
    migrate = commands.add_parser("migrate", help="bring the schema up to date (POSTERN_DATABASE_URL: administrator)")
    migrate.set_defaults(run=_migrate)
    serve = commands.add_parser("serve", help="write and serve the ledger")
    serve.set_defaults(run=_serve)
    verify = commands.add_parser(
        "verify",
        help="walk the chain and name the first position where it was touched",
        description="Exit status: 0 intact, 1 touched, 2 not verified. POSTERN_DATABASE_URL: any role that can select.",
    )
    verify.add_argument("--from", dest="first", type=_position, default=1, help="first position (default 1)")
    verify.add_argument("--to", dest="last", type=_position, help="last position (default: the newest)")
    verify.add_argument("--json", action="store_true", help="the report as one JSON object")
    verify.add_argument("--checkpoints", type=Path, help="checkpoint file (default: POSTERN_CHECKPOINT_FILE)")
    verify.add_argument("--public-key", type=Path, action="append", help="PEM of a key that signs; repeatable")
    verify.set_defaults(run=_verify)
    return parser


def _position(text: str) -> int:
    position = int(text)
    if position < 1:
        raise argparse.ArgumentTypeError("positions start at 1")
    return position


def _migrate(_: argparse.Namespace) -> int:
    settings = load_settings(DatabaseSettings)
    configure_logging("postern-audit", settings.log_level, settings.log_format)
    run_migrations(url=settings.database_url.get_secret_value(), schema="audit", package="postern_audit.migrations")
    return 0


def _serve(_: argparse.Namespace) -> int:
    from postern_audit.bootstrap import NAME, build  # noqa: PLC0415 - verify and migrate need no web server
    from postern_common.runtime import serve  # noqa: PLC0415
    from postern_common.telemetry import configure_telemetry  # noqa: PLC0415

    settings = load_settings(AuditSettings)
    configure_logging(NAME, settings.log_level, settings.log_format)
    configure_telemetry(NAME)
    serve(lambda: build(settings), host=settings.host, port=settings.port)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from postern_audit.verifying import find_keys, verify_ledger  # noqa: PLC0415 - needs no web server

    settings = load_settings(VerifySettings)
    report = asyncio.run(
        verify_ledger(
            settings.database_url.get_secret_value(),
            file=options.checkpoints or settings.checkpoints,
            keys=find_keys(options.public_key, settings),
            first=options.first,
            last=options.last,
            progress=_Progress(),
        )
    )
    if options.json:
        findings = [{"position": f.position, "fault": f.fault, "detail": f.detail} for f in report.findings]
        fields = {name: getattr(report, name) for name in ("intact", "first", "last", "head", "checkpoints", "vouched")}
        sys.stdout.write(json.dumps({**fields, "findings": findings}) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in report.words()))
    return INTACT if report.intact else BROKEN


class _Progress:
    """Says on stderr how far a long walk has come."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_SECONDS

    def __call__(self, position: int, last: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_SECONDS
            sys.stderr.write(f"verified {position} of {last}\n")
