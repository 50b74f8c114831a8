"""What ``demo`` shows, in order: project, database, its events as they arrive, SQL on primary and replica, what next.

Running it again goes through the same with what is already there.
"""

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from postern_devcluster.stack.demo.client import ApiClient
from postern_devcluster.stack.demo.events import describe, moment, state_after
from postern_devcluster.stack.demo.sql import choose_endpoint, connected, read_replica, write
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import StackHome
from postern_devcluster.stack.launch import Launched
from postern_devcluster.stack.running import refuse_dead_processes

PROJECT = "demo"
DATABASE = "orders"
REQUEST = {"name": DATABASE, "plan": "standard-1", "instances": 2}
DATABASES = f"/v1/projects/{PROJECT}/databases"
READY_SECONDS = 300.0
"""A cold cluster may have to fetch images first; the API's own deadline for a create is 15 min."""
SHOWN_OF_HISTORY = 15
_LAST_EVENTS_SECONDS = 5.0
_FAILED = "see the logs of provisioner and cluster: make logs"
_GONE = "wait until it is gone, then: make demo"
_DELETE = (
    f"""delete it (PATCH {DATABASES}/{DATABASE} {{"deletion_protection": false}}, then DELETE it), then: make demo"""
)
_CONFLICT = "use other namespaces than the other Postern: POSTERN_NAMESPACE_PREFIX=mine- make demo …"


async def tell(launched: Launched, home: StackHome, console: Console) -> None:
    """Run the demonstration against a stack that serves; raises StackError with a next step."""
    console.print("\nThe job, through the REST API only:\n")
    async with ApiClient(launched.url, launched.token) as api:
        await _ensure_project(api, console)
        began = time.monotonic()
        await _ensure_database(api, console)
        await _watch_until_ready(api, home, console)
        console.print(f"\n  ready after {time.monotonic() - began:.1f} s\n")
        await _use(api, console)
    console.print(what_next(launched, home), soft_wrap=True, highlight=False)


async def _ensure_project(api: ApiClient, console: Console) -> None:
    answer = await api.call("POST", "/v1/projects", {"name": PROJECT}, also=(409,))
    said = "created" if answer.status == 201 else "is there already"
    _say(console, "POST /v1/projects", f"project {PROJECT} {said}")


async def _ensure_database(api: ApiClient, console: Console) -> None:
    """Create the database, or bring the one that is there back to where it was."""
    answer = await api.call("POST", DATABASES, REQUEST, also=(409,))
    if answer.status != 409:
        shape = f"{REQUEST['instances']} instances, plan {REQUEST['plan']}, PostgreSQL {answer.body['version']}"
        _say(console, f"POST {DATABASES}", f"{answer.status}: database {DATABASE} is on its way ({shape})")
        return
    found = (await api.call("GET", f"{DATABASES}/{DATABASE}", also=(404,))).body
    state = found.get("state") if found else None
    if state in {"deleting", "failed"} or found is None or found.get("code"):
        raise StackError(
            "database_not_usable",
            f"a database {DATABASE} cannot be used: {found.get('state_message') or state or answer.body.get('detail')}",
            next_step=_GONE if state == "deleting" else _DELETE,
        )
    _say(console, f"GET  {DATABASES}/{DATABASE}", f"database {DATABASE} is there already, {state}")
    if state in {"hibernated", "hibernating"}:
        await api.call("POST", f"{DATABASES}/{DATABASE}/actions/resume")
        _say(console, f"POST {DATABASES}/{DATABASE}/actions/resume", "it wakes up")


async def _watch_until_ready(api: ApiClient, home: StackHome, console: Console) -> None:
    """Print the events as they arrive, until the database is ready by the API's word and its event is here."""
    console.print(f"\n  Its events, live (GET /v1/projects/{PROJECT}/events, text/event-stream):\n")
    seen = asyncio.Event()
    printing = asyncio.ensure_future(_print_events(api, console, seen))  # noqa: TID251 (awaited below, in this function)
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _until_ready(api, home, printing)
        try:
            async with asyncio.timeout(_LAST_EVENTS_SECONDS):
                await seen.wait()
        except TimeoutError:
            console.print("  (ready by the API's word; the event of it has not arrived yet)")
    except TimeoutError:
        raise StackError(
            "not_ready",
            f"the database is not ready after {READY_SECONDS:.0f} s",
            next_step="see why: make logs; its state: make status",
        ) from None
    finally:
        printing.cancel()
        await asyncio.gather(printing, return_exceptions=True)


async def _print_events(api: ApiClient, console: Console, ready: asyncio.Event) -> None:
    """Print the newest of what happened so far, then everything that happens; ``ready`` follows the state."""
    history, position = await api.history(PROJECT, database=DATABASE)
    began = moment(history[0]) if history else None
    if len(history) > SHOWN_OF_HISTORY:
        console.print(Text(f"  ({len(history) - SHOWN_OF_HISTORY} earlier ones are left out here)", style="dim"))
    for event in history[-SHOWN_OF_HISTORY:]:
        _print_event(console, event, began or moment(event))
    for event in history:
        _follow_state(event, ready)
    async for event in api.events(PROJECT, database=DATABASE, after=position):
        began = began or moment(event)
        _print_event(console, event, began)
        _follow_state(event, ready)


def _print_event(console: Console, event: dict[str, Any], began: datetime) -> None:
    state = state_after(event)
    style = "bold green" if state == "ready" else "yellow" if state is not None else "dim"
    console.print(Text(describe(event, began), style=style), soft_wrap=True)


def _follow_state(event: dict[str, Any], ready: asyncio.Event) -> None:
    state = state_after(event)
    if state == "ready":
        ready.set()
    elif state is not None:
        ready.clear()


async def _until_ready(api: ApiClient, home: StackHome, printing: "asyncio.Future[None]") -> None:
    """Wait by the API: its newest operation ends, then its state is ready."""
    while True:
        refuse_dead_processes(home)
        database: dict[str, Any] = (await api.call("GET", f"{DATABASES}/{DATABASE}")).body
        operation = database.get("operation") or {}
        if operation.get("status") in {"pending", "running"}:
            await api.call("GET", f"/v1/projects/{PROJECT}/operations/{operation['id']}", wait=True)
        elif database["state"] == "ready":
            return
        elif operation.get("status") == "failed" and database["state"] in {"failed", "requested", "provisioning"}:
            error = operation.get("error") or {}
            raise StackError(
                "create_failed",
                f"the database could not be made: {error.get('code')}: {error.get('detail')}",
                next_step=_CONFLICT if error.get("code") == "name_conflict" else _FAILED,
            )
        else:
            await asyncio.sleep(0.2)
        if printing.done() and printing.exception() is not None:
            await printing


async def _use(api: ApiClient, console: Console) -> None:
    connection = (await api.call("GET", f"{DATABASES}/{DATABASE}/connection")).body
    credentials = (await api.call("GET", f"{DATABASES}/{DATABASE}/credentials")).body
    _say(
        console,
        f"GET  {DATABASES}/{DATABASE}/credentials",
        f"user {credentials['username']} (the read is in the audit)",
    )
    host, port = choose_endpoint(connection, "primary")
    async with connected(credentials, host, port) as primary:
        rows = await write(primary)
        version = str(await primary.fetchval("SHOW server_version"))
    _say(console, f"SQL on the primary {host}:{port}", f"PostgreSQL {version}, table orders, {rows} rows")
    host, port = choose_endpoint(connection, "replicas")
    async with connected(credentials, host, port) as replica:
        seen = await read_replica(replica, rows)
    _say(console, f"SQL on a replica {host}:{port}", f"{seen} rows, read only")


def what_next(launched: Launched, home: StackHome) -> str:
    """Return what a person may type now."""
    env = _short(home.env_file)
    kubeconfig = _short(Path(launched.addresses.kubeconfigs["admin"]))
    header = '-H "Authorization: Bearer $POSTERN_TOKEN"'
    database = f"$POSTERN_URL{DATABASES}/{DATABASE}"
    uri = """python3 -c 'import json,sys; print(json.load(sys.stdin)["uri"])'"""
    return f"""
Everything is left running. What you can type next:

  export $(cat {env})
  curl -s {header} {database}
  curl -sN {header} -H 'Accept: text/event-stream' "$POSTERN_URL/v1/projects/{PROJECT}/events?after=0"
  curl -s {header} -X PATCH -H 'Content-Type: application/merge-patch+json' -d '{{"instances": 3}}' {database}
  psql "$(curl -s {header} {database}/credentials | {uri})"
  kubectl --kubeconfig {kubeconfig} get clusters,pods,pvc -A

  The API's documentation: {launched.url}/docs
  make status · make logs · make down (data stay; make up brings them back)
"""


def _short(path: Path) -> str:
    """Return the path as one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _say(console: Console, did: str, said: str) -> None:
    console.print(Text.assemble(f"  {did:<58}", (said, "bold")), soft_wrap=True)
