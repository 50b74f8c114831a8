"""``postern-devcluster serve``: the development cluster as one process, the API server and the operator half.

Composition root; for development, demonstrations and tests only, and it says so.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from postern_devcluster.apiserver.journal import StateDirectoryBusyError
from postern_devcluster.apiserver.server import ApiServer, ApiServerOptions, NotLoopbackError

_NOTICE = (
    "postern-devcluster is for development, demonstrations and tests only: it stands in for Kubernetes and "
    "CloudNativePG on this machine and is no place for data that matters."
)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The command line of ``serve``."""

    api: ApiServerOptions
    operator: bool = True
    run_postgres: bool = True
    postgres_bin: Path | None = None
    ready_file: Path | None = None


def parse_arguments(arguments: Sequence[str] | None = None) -> ServeOptions:
    """Parse the command line; exits with a message on faults."""
    parser = argparse.ArgumentParser(prog="postern-devcluster", description=_NOTICE)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the development cluster in the foreground")
    serve.add_argument("--state-dir", type=Path, required=True, help="where objects, keys and databases are kept")
    serve.add_argument("--host", default="127.0.0.1", help="a loopback address")
    serve.add_argument("--port", type=int, default=0, help="0: a free one, the same again after a restart")
    serve.add_argument("--operator", action=argparse.BooleanOptionalAction, default=True)
    serve.add_argument("--postgres-processes", action=argparse.BooleanOptionalAction, default=True)
    serve.add_argument("--no-postgres", dest="postgres_processes", action="store_false")
    serve.add_argument("--postgres-bin", type=Path, help="directory of initdb and postgres")
    serve.add_argument("--rights", action=argparse.BooleanOptionalAction, default=True)
    serve.add_argument("--ready-file", type=Path, help="written with the kubeconfig's path once it serves")
    given = parser.parse_args(arguments)
    state_dir = given.state_dir.absolute()
    return ServeOptions(
        api=ApiServerOptions(state_dir=state_dir, host=given.host, port=given.port, rights=given.rights),
        operator=given.operator,
        run_postgres=given.postgres_processes,
        postgres_bin=given.postgres_bin,
        ready_file=given.ready_file,
    )


async def serve(options: ServeOptions) -> None:
    """Run until SIGTERM or SIGINT, or until one of the halves fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = ApiServer(options.api)
    try:
        await server.start()
        _log.info("devcluster_started", notice=_NOTICE, url=server.url, kubeconfig=str(server.kubeconfig))
        async with asyncio.TaskGroup() as tasks:
            collector = tasks.create_task(server.run(), name="collector")
            operator = tasks.create_task(_run_operator(options, server, stop), name="operator")
            _mark_ready(options, server)
            await stop.wait()
            await operator
            collector.cancel()
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)
        await server.close()
        _log.info("devcluster_stopped")


async def _run_operator(options: ServeOptions, server: ApiServer, stop: asyncio.Event) -> None:
    if not options.operator:
        return
    from postern_devcluster.operator import OperatorOptions, run_operator  # noqa: PLC0415 (only where it is wanted)

    settings = OperatorOptions(
        kubeconfig=server.kubeconfig,
        state_dir=options.api.state_dir,
        run_postgres=options.run_postgres,
        postgres_bin=options.postgres_bin,
    )
    await run_operator(settings, stop)
    if not stop.is_set():
        raise RuntimeError("the operator half ended by itself")


def _mark_ready(options: ServeOptions, server: ApiServer) -> None:
    if options.ready_file is not None:
        temporary = options.ready_file.with_name(f"{options.ready_file.name}.new")
        temporary.write_text(f"{server.kubeconfig}\n")
        temporary.replace(options.ready_file)


def main() -> None:
    """Entry point of the console script."""
    options = parse_arguments()
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        with runner:
            runner.run(serve(options))
    except (NotLoopbackError, StateDirectoryBusyError) as error:
        sys.exit(f"postern-devcluster: {error}")
    except OSError as error:
        address = f"{options.api.host}:{options.api.port}"
        sys.exit(f"postern-devcluster: {os.strerror(error.errno or 0)} ({address}, {options.api.state_dir})")


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 (not there on every platform)

        factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
        return factory
    return None
