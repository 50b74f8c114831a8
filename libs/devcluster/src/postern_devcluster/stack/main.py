"""``postern-stack up|demo|down|status|logs|clean-data``: the command line that make's targets call.

Reads ``POSTERN_HOME`` from the environment and nothing else: which servers are used is an argument (semantics 40).
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from postern_common.errors import PosternError
from postern_common.logging import configure_logging
from postern_devcluster.stack.demo.story import tell
from postern_devcluster.stack.home import PROCESSES, StackHome
from postern_devcluster.stack.launch import Launched, launch
from postern_devcluster.stack.logs import show_logs
from postern_devcluster.stack.shutdown import clean_data, shut_down
from postern_devcluster.stack.status import server_port, show_status
from postern_devcluster.stack.targets import ADDRESS_MODES, ALL_VERSIONS, CLUSTER_MODES, Targets, check_targets

INTERRUPTED = 130


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; exits with a message on faults."""
    parser = argparse.ArgumentParser(prog="postern-stack", description="Postern on this machine, as make calls it.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("up", "start everything and leave it running"), ("demo", "up, then do the main job")):
        command = commands.add_parser(name, help=words)
        command.add_argument("--amqp-url", help="an own RabbitMQ instead of the private one")
        command.add_argument("--database-url", help="an own PostgreSQL, as its administrator")
        command.add_argument("--kubeconfig", help="an own cluster with CloudNativePG")
        command.add_argument("--address-mode", choices=ADDRESS_MODES, default=ADDRESS_MODES[0])
        command.add_argument("--postgres-versions", default=ALL_VERSIONS, help="majors that an own cluster can run")
        command.add_argument(
            "--cluster-mode",
            choices=tuple(CLUSTER_MODES),
            default="processes",
            help="what is behind the development API server: real PostgreSQL, pretended instances, or nobody",
        )
    commands.add_parser("down", help="stop everything; data stay")
    commands.add_parser("status", help="what runs and whether it is ready")
    logs = commands.add_parser("logs", help="the logs of all processes")
    logs.add_argument("names", nargs="*", metavar="process", help=", ".join(PROCESSES))
    logs.add_argument("--follow", "-f", action="store_true", help="go on until interrupted")
    logs.add_argument("--lines", "-n", type=int, default=20, help="lines of each log to begin with")
    commands.add_parser("clean-data", help="stop everything and remove all data")
    return parser.parse_args(arguments)


def run(given: argparse.Namespace, home: StackHome, console: Console) -> None:
    """Run one command; raises PosternError."""
    match given.command:
        case "up":
            up(given, home, console)
        case "demo":
            asyncio.run(tell(up(given, home, console), home, console))
        case "down":
            stopped = shut_down(home, console)
            console.print(f"Stopped; data stay in {home.root}." if stopped else f"Nothing was running in {home.root}.")
        case "status":
            show_status(home, console)
        case "logs":
            show_logs(home, console, given.names, lines=given.lines, follow=given.follow)
        case "clean-data":
            elsewhere = uses_own_servers(home)
            removed = clean_data(home, console)
            said = f"Removed {', '.join(removed)}." if removed else "There was nothing to remove."
            console.print(said, soft_wrap=True)
            if elsewhere:
                console.print("What lies on servers or in a cluster of your own was left alone.")


def up(given: argparse.Namespace, home: StackHome, console: Console) -> Launched:
    """Start what does not run and say where it is."""
    targets = check_targets(
        Targets(
            amqp_url=given.amqp_url,
            database_url=given.database_url,
            kubeconfig=given.kubeconfig,
            address_mode=given.address_mode,
            postgres_versions=given.postgres_versions,
            cluster_mode=given.cluster_mode,
        )
    )
    began = time.monotonic()
    console.print(f"Postern in {home.root}", soft_wrap=True)
    launched = launch(home, targets, console)
    console.print(f"\nReady after {time.monotonic() - began:.1f} s: {launched.url}", soft_wrap=True)
    console.print(f"Addresses and the administrator's token: {home.env_file}", soft_wrap=True)
    return launched


def uses_own_servers(home: StackHome) -> bool:
    """Whether the last start used a cluster or a server that is not the stack's."""
    if not home.env_file.exists():
        return False
    env = home.read_env()
    own_port = {f":{port}/" for port in (server_port(home, name) for name in ("postgres", "rabbitmq")) if port}
    addresses = (env.get("POSTERN_DATABASE_URL", ""), env.get("POSTERN_AMQP_URL", ""))
    servers = all(any(port in address for port in own_port) for address in addresses)
    return not (servers and Path(env.get("KUBECONFIG", "")).is_relative_to(home.root))


def main() -> None:
    """Console script; status 0, 1 when the command could not do its work, 130 when it was interrupted."""
    given = parse_arguments()
    configure_logging("stack", "error", "console")
    console = Console(highlight=False)
    try:
        run(given, StackHome.from_environment(os.environ), console)
    except PosternError as error:
        next_step = getattr(error, "next_step", "see what runs: make status; see why: make logs")
        console.print(f"\n[red]Stopped:[/] {_plain(error.detail)}", soft_wrap=True)
        console.print(f"[bold]What to do:[/] {_plain(next_step)}\n", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nInterrupted; what was started goes on running (make status).")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _plain(text: str) -> str:
    """Keep rich from reading markup in what somebody else wrote."""
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
