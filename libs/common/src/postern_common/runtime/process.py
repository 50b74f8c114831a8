"""The life of a service process: build, serve HTTP, run tasks, stop in order.

Owns the event loop, signals and the deadlines of the stop. On SIGTERM or SIGINT: readiness turns false, consumers and
requests drain (10 s at most), tasks are cancelled, connections close (3 s at most). The first unexpected exit of a task
takes the same way and ends the process with status 1.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn
import uvloop
from typing_extensions import override

from postern_common.logging import get_logger
from postern_common.runtime.health import Health
from postern_common.runtime.tasks import TaskOwner

logger = get_logger(__name__)

DRAIN_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
HTTP_DRAIN_SECONDS: Final = 8
KEEP_ALIVE_SECONDS: Final = 65


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Service:
    """What a composition root hands over.

    ``tasks`` run for ever; ``drain`` callables stop the intake of work and wait for what is under way, all at the same
    time; ``close`` closes connections last.
    """

    name: str
    app: Any
    tasks: Sequence[tuple[str, Callable[[], Awaitable[None]]]] = ()
    health: Health = field(default_factory=Health)
    close: Callable[[], Awaitable[None]] = _nothing
    drain: tuple[Callable[[], Awaitable[None]], ...] = ()


class _Server(uvicorn.Server):
    """uvicorn inside our loop: signals are the process's own business."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(build: Callable[[], Awaitable[Service]], *, host: str, port: int) -> None:
    """Run the service that ``build`` makes until SIGTERM or SIGINT; then the process ends with status 0 or 1."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(_run(build, host, port))
        sys.stdout.flush()
    raise SystemExit(status)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.settimeout(0)
    return listener


def _http_server(service: Service) -> _Server:
    config = uvicorn.Config(
        service.app,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",  # the composition root builds and closes
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=HTTP_DRAIN_SECONDS,
        backlog=2048,
    )
    return _Server(config)


async def _run(build: Callable[[], Awaitable[Service]], host: str, port: int) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        listener = _listen(host, port)
    except OSError as error:
        logger.error("listen_failed", host=host, port=port, error=os.strerror(error.errno or 0))  # noqa: TRY400
        return 1
    with contextlib.closing(listener):
        try:
            service = await build()
        except Exception:
            logger.exception("service_build_failed")
            return 1
        owner = TaskOwner()
        server = _http_server(service)
        serving = owner.spawn(server.serve(sockets=[listener]), name="http")
        for name, task in service.tasks:
            owner.spawn(_call(task), name=name)
        logger.info("service_started", host=host, port=listener.getsockname()[1], pid=os.getpid())
        failure = await owner.wait(stop)
        await _stop(service, owner, server, serving)
    logger.info("service_stopped", status=1 if failure else 0)
    return 1 if failure else 0


async def _call(task: Callable[[], Awaitable[None]]) -> None:
    await task()


async def _stop(service: Service, owner: TaskOwner, server: _Server, serving: asyncio.Task[None]) -> None:
    logger.info("service_stopping")
    service.health.drain()
    owner.expect_exits()
    server.should_exit = True
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_SECONDS
    drains = {loop.create_task(_call(drain), name=f"drain-{n}") for n, drain in enumerate(service.drain)}
    _, late = await asyncio.wait({*drains, serving}, timeout=DRAIN_SECONDS)
    for task in late:
        logger.warning("drain_timed_out", task=task.get_name())
        task.cancel()
    for task in drains - late:
        if (error := task.exception()) is not None:
            logger.error("drain_failed", task=task.get_name(), exc_info=error)
    await owner.close(max(deadline - loop.time(), 1.0))
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await service.close()
    except TimeoutError:
        logger.warning("close_timed_out", seconds=CLOSE_SECONDS)
    except Exception:
        logger.exception("close_failed")
