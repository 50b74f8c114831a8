"""The reconcile loop: claims due targets, has them applied or removed, and records how it ended with the event.

Level-triggered: a command only makes a target due. One attempt per database at a time (the claim), several databases at
once, and nothing in memory that a restart would lose.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.events import DatabaseApplied, DatabaseApplyFailed, DatabaseRemoved
from postern_common.contracts.payload import Payload
from postern_common.errors import PosternError, TransientError
from postern_common.logging import get_logger
from postern_common.persistence import UnitOfWorkFactory
from postern_common.runtime import Wakeup, crashpoint
from postern_common.telemetry import current_traceparent, start_span, trace_context
from postern_provisioner.domain.crashpoints import AFTER_APPLY_BEFORE_COMMIT, AFTER_DELETE_BEFORE_COMMIT
from postern_provisioner.domain.outcomes import Applied, Removed, StillThere
from postern_provisioner.domain.retries import History, judge
from postern_provisioner.domain.target import Target
from postern_provisioner.domain.wording import words_of_failure
from postern_provisioner.metrics import ATTEMPTS, IN_FLIGHT
from postern_provisioner.services.applying import ApplyService
from postern_provisioner.services.lease import Lease
from postern_provisioner.services.receiving import SOURCE
from postern_provisioner.services.removing import RemoveService
from postern_provisioner.storage.claims import Claim, ClaimStore

CONCURRENCY = 8
LOOK_SECONDS = 60.0
"""Longest sleep of the loop; a command, a retry or a signal wakes it before."""
DATABASE_PAUSE = 1.0
LEAST_PAUSE = 0.01
"""A due row that another process holds locked must not make this loop hot."""
DRAIN_SECONDS = 8.0

log = get_logger(__name__)


class ReconcileService:
    """Runs the loop. ``wakeup`` is set by every unit of work of this process."""

    def __init__(
        self,
        *,
        claims: ClaimStore,
        unit_of_work: UnitOfWorkFactory,
        applying: ApplyService,
        removing: RemoveService,
        wakeup: Wakeup,
        concurrency: int = CONCURRENCY,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._claims = claims
        self._unit_of_work = unit_of_work
        self._applying = applying
        self._removing = removing
        self._wakeup = wakeup
        self._concurrency = concurrency
        self._jitter = jitter
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Reconcile until cancelled."""
        async with asyncio.TaskGroup() as group:
            while not self._stopping:
                try:
                    pause = await self._claim_and_start(group)
                except TransientError as error:
                    log.warning("claim_failed", code=error.code)
                    pause = DATABASE_PAUSE
                await self._wakeup.wait(min(pause, LOOK_SECONDS))
        await asyncio.Event().wait()  # stopped by drain(); the owner cancels

    async def drain(self) -> None:
        """Claim nothing more and wait for the attempts that run; what is late keeps its lease until that ends."""
        self._stopping = True
        self._wakeup.set()
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_SECONDS)

    async def _claim_and_start(self, group: asyncio.TaskGroup) -> float:
        """Start what is due and fits. Returns seconds to sleep: until something is due, or until an attempt ends."""
        free = self._concurrency - len(self._running)
        if free <= 0:
            return LOOK_SECONDS
        lease = Lease(self._claims.seconds)
        claims = await self._claims.claim(free)
        for claim in claims:
            task = group.create_task(self._attempt(claim, lease), name=f"reconcile-{claim.database_id}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        if len(claims) == free:
            return LOOK_SECONDS
        due = await self._claims.next_due()
        return LOOK_SECONDS if due is None else max(due, LEAST_PAUSE)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wakeup.set()

    async def _attempt(self, claim: Claim, lease: Lease) -> None:
        target = claim.target
        with (
            structlog.contextvars.bound_contextvars(
                database_id=str(claim.database_id),
                operation_id=str(target.operation_id),
                generation=target.generation,
            ),
            trace_context(target.traceparent, target.tracestate),
            start_span("reconcile", attributes={"postern.database_id": str(claim.database_id)}),
            IN_FLIGHT.track_inprogress(),
        ):
            try:
                await self._reconcile(claim, lease)
            except TransientError as error:
                # The database did not take the outcome: the lease runs out and the attempt is made again.
                log.warning("attempt_not_recorded", code=error.code)
            except Exception:
                log.exception("attempt_not_recorded", code="unexpected_error")

    async def _reconcile(self, claim: Claim, lease: Lease) -> None:
        try:
            async with asyncio.timeout(lease.remaining):
                outcome = await self._work(claim, lease)
        except Exception as error:  # noqa: BLE001 - the retry table has a row for every error; it is logged there
            await self._record_failure(claim, error)
            return
        if isinstance(outcome, Applied):
            await self._record_applied(claim, outcome)
        elif isinstance(outcome, Removed):
            await self._record_removed(claim, outcome)
        else:
            await self._record_waiting(claim, outcome)

    async def _work(self, claim: Claim, lease: Lease) -> Applied | Removed | StillThere:
        if claim.target.is_tombstone:
            return await self._removing.remove(claim, lease)
        return await self._applying.apply(claim.target, lease)

    async def _record_applied(self, claim: Claim, outcome: Applied) -> None:
        crashpoint(AFTER_APPLY_BEFORE_COMMIT)
        target = claim.target
        async with self._unit_of_work() as work:
            recorded = await self._claims.mark_applied(work.connection, claim, image=outcome.image)
            if recorded and not target.is_applied:
                work.publish(_event(target, DatabaseApplied(**_progress(target), objects=outcome.objects)))
        if outcome.repaired:
            log.warning("drift_repaired", objects=list(outcome.repaired))
        await self._settle(claim, "applied", recorded=recorded)

    async def _record_removed(self, claim: Claim, outcome: Removed) -> None:
        crashpoint(AFTER_DELETE_BEFORE_COMMIT)
        target = claim.target
        async with self._unit_of_work() as work:
            recorded = await self._claims.mark_removed(work.connection, claim)
            if recorded and not target.removed:
                payload = DatabaseRemoved(**_progress(target), existed=outcome.existed, objects=outcome.objects)
                work.publish(_event(target, payload))
        await self._settle(claim, "removed", recorded=recorded)

    async def _record_waiting(self, claim: Claim, outcome: StillThere) -> None:
        target = claim.target
        failure = judge(TransientError("", ""), _history(target), jitter=self._jitter)
        async with self._unit_of_work() as work:
            recorded = await self._claims.mark_failed(
                work.connection, claim, code=target.last_error_code or "", counted=False, delay=failure.delay
            )
        log.info("removal_waited_for_finalizers", objects=[f"{o.kind} {o.name}" for o in outcome.objects])
        await self._settle(claim, "waiting", recorded=recorded)

    async def _record_failure(self, claim: Claim, error: Exception) -> None:
        target = claim.target
        failure = judge(error, _history(target), jitter=self._jitter)
        async with self._unit_of_work() as work:
            recorded = await self._claims.mark_failed(
                work.connection, claim, code=failure.code, counted=failure.counted, delay=failure.delay
            )
            if recorded and failure.announce and not target.is_applied:
                words = words_of_failure(failure.code, failure.detail, target.identity)
                payload = DatabaseApplyFailed(
                    **_progress(target), code=failure.code, detail=words, retryable=failure.retryable
                )
                work.publish(_event(target, payload))
        log.warning(
            "attempt_failed",
            code=failure.code,
            retryable=failure.retryable,
            delay=failure.delay,
            error=type(error).__name__,
            exc_info=None if isinstance(error, PosternError | TimeoutError) else error,
        )
        await self._settle(claim, failure.code, recorded=recorded)

    async def _settle(self, claim: Claim, outcome: str, *, recorded: bool) -> None:
        ATTEMPTS.labels(outcome if recorded else "overtaken").inc()
        if recorded:
            log.info("attempt_ended", outcome=outcome)
        else:
            # A newer command came meanwhile: its generation must not wait for the end of this lease.
            log.info("attempt_overtaken", outcome=outcome)
            await self._claims.release(claim)


def _history(target: Target) -> History:
    return History(
        attempts=target.attempts,
        failures=target.failures,
        last_code=target.last_error_code,
        age_seconds=target.age_seconds,
    )


def _progress(target: Target) -> dict[str, object]:
    identity = target.identity
    return {
        "database_id": identity.database_id,
        "project_id": identity.project_id,
        "project": identity.project,
        "name": identity.name,
        "generation": target.generation,
        "operation_id": target.operation_id,
    }


def _event(target: Target, payload: Payload) -> CloudEvent:
    traceparent, tracestate = current_traceparent()
    return build_event(
        payload,
        source=SOURCE,
        subject=str(target.identity.database_id),
        project=target.identity.project,
        project_id=target.identity.project_id,
        operation_id=target.operation_id,
        causation_id=target.causation_id,
        traceparent=traceparent,
        tracestate=tracestate,
    )
