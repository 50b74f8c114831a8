"""Every task of a process is named, owned and awaited; the first unexpected exit stops the process with a reason.

The model is kopf's ``aiotasks``. Separate from the process because consumers and reconcilers own tasks, too.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from postern_common.errors import PosternError
from postern_common.logging import get_logger

logger = get_logger(__name__)

T = TypeVar("T")


class TaskExitedError(PosternError):
    """A task that should have run for ever ended, or any task failed."""


class TaskOwner:
    """Owns tasks. Unless ``finite``, a task that returns is as unexpected as one that raises."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._closing = False

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str, finite: bool = False) -> asyncio.Task[T]:
        """Start a task. A ``finite`` one may return; an exception is unexpected in both."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._note_exit(done, finite=finite))
        return task

    def _note_exit(self, task: asyncio.Task[Any], *, finite: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None and finite:
            return
        if self._closing:
            if error is not None:
                logger.warning("task_failed_while_closing", task=task.get_name(), exc_info=error)
            return
        logger.error("task_exited_unexpectedly", task=task.get_name(), exc_info=error)
        if self._failure is None:
            self._failure = error or TaskExitedError("task_exited", f"task {task.get_name()} returned")
            self._failed.set()

    def expect_exits(self) -> None:
        """From now on tasks may end: the process is stopping."""
        self._closing = True

    async def wait(self, stop: asyncio.Event) -> BaseException | None:
        """Wait for ``stop`` or the first unexpected exit, which is returned."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait()) for event in (stop, self._failed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return self._failure

    async def close(self, timeout: float) -> None:
        """Cancel all tasks and await them, at most ``timeout`` seconds; those that do not end are named in the log."""
        self._closing = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=timeout)
            for task in pending:
                logger.error("task_did_not_end", task=task.get_name(), seconds=timeout)

    async def run_until(self, stop: asyncio.Event, *, drain: float = 10.0) -> None:
        """Run until ``stop`` is set or a task exits unexpectedly, then cancel and await all.

        Raises ``TaskExitedError`` with the task's exception as its cause.
        """
        try:
            failure = await self.wait(stop)
        finally:
            await self.close(drain)
        if isinstance(failure, TaskExitedError):
            raise failure
        if failure is not None:
            raise TaskExitedError("task_failed", str(failure)) from failure
