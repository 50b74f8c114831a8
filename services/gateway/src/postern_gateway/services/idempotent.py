"""A write under an idempotency key: claimed, answered once, replayed afterwards (semantics 19)."""

from collections.abc import Awaitable, Callable

from sqlalchemy.exc import IntegrityError

from postern_common.persistence import UnitOfWork, UnitOfWorkFactory
from postern_gateway.domain.idempotency import IdempotencyKey, StoredAnswer, refuse_reused
from postern_gateway.domain.problems import refuse
from postern_gateway.services.calls import Answer
from postern_gateway.storage.idempotency import claim_key, drop_expired_key, is_key_race

Work = Callable[[UnitOfWork], Awaitable[Answer]]


class IdempotentWrites:
    """Runs a write in one transaction, or replays the answer that its key has."""

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def run(self, key: IdempotencyKey | None, work: Work) -> Answer:
        """``work`` decides, writes and stores its answer under the key; only 2xx come that far.

        Raises ``ClientError`` 409 ``request_in_progress`` while another request holds the key, 422
        ``idempotency_key_reused`` when it belongs to another request.
        """
        if key is None:
            async with self._unit_of_work() as unit:
                return await work(unit)
        try:
            return await self._claim_and_run(key, work)
        except IntegrityError as error:
            if not is_key_race(error):
                raise
            # answered by another between look-up and insert, or a row past its time that is not cleaned yet
            return await self._claim_and_run(key, work, clean=True)

    async def _claim_and_run(self, key: IdempotencyKey, work: Work, *, clean: bool = False) -> Answer:
        async with self._unit_of_work() as unit:
            if clean:
                await drop_expired_key(unit.connection, key)
            claim = await claim_key(unit.connection, key)
            if not claim.locked:
                detail = "another request with this Idempotency-Key is running"
                raise refuse("request_in_progress", detail, headers={"Retry-After": "1"})
            if claim.stored is None:
                return await work(unit)
            if claim.fingerprint != key.fingerprint:
                raise refuse_reused()
            stored = claim.stored
            return Answer(stored.status, stored.body, stored.headers).replayed()


def to_store(key: IdempotencyKey | None, answer: Answer) -> tuple[IdempotencyKey, StoredAnswer] | None:
    """What the stores write beside the change."""
    return None if key is None else (key, StoredAnswer(answer.status, answer.headers, answer.body))
