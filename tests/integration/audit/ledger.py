"""The ledger's writer and reader joined as the service joins them, and events like those the relays publish."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_audit.domain.entry import Entry
from postern_audit.domain.stream import Filters
from postern_audit.services.appending import AppendingService
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.contracts.broker import AUDIT_LEDGER
from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.events import ActionActor, ApiAction, DatabaseReceived
from postern_common.contracts.identifiers import new_id
from postern_common.persistence import Inbox, Outbox, UnitOfWorkFactory
from postern_common.runtime import Wakeup

EVERYTHING = Filters()
PROJECTS: dict[str, UUID] = {}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Ledger:
    """Appends with an epoch and reads everything back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.wakeup = Wakeup()
        units = UnitOfWorkFactory(engine, Outbox("audit", Wakeup()), wakeups=[self.wakeup])
        self.appending = AppendingService(units, Inbox("audit", AUDIT_LEDGER))
        self.reader = LedgerReader(engine)

    async def append(self, events: Sequence[CloudEvent], *, epoch: int = 1) -> int:
        return await self.appending.append(events, epoch=epoch)

    async def everything(self) -> Sequence[Entry]:
        return await self.reader.entries_after(0, limit=100_000)


def received(project: str = "acme", *, shard: int | None = None, number: int | None = None) -> CloudEvent:
    """An event of the provisioner, stamped as the relay does when ``shard`` and ``number`` are given."""
    project_id = PROJECTS.setdefault(project, new_id())
    payload = DatabaseReceived(
        database_id=new_id(), project_id=project_id, project=project, name="orders", generation=1, operation_id=new_id()
    )
    event = build_event(
        payload,
        source="/postern/provisioner",
        subject=str(payload.database_id),
        project=project,
        project_id=project_id,
        operation_id=payload.operation_id,
        traceparent=TRACEPARENT,
    )
    return stamped(event, shard, number)


def api_action(project: str | None = "acme", *, subject: str = "x", outcome: str = "accepted") -> CloudEvent:
    """A recorded API call."""
    payload = ApiAction(
        actor=ActionActor(kind="api_key", name="ci", credential_id=new_id()),
        address="127.0.0.1",
        method="POST",
        route="/v1/projects/{project}/databases",
        resource="projects/acme/databases/orders",
        outcome=outcome,
        status=202,
        request_id="r-1",
        diff={"plan": [None, "dev-1"]},
    )
    return build_event(
        payload,
        source="/postern/gateway",
        subject=subject,
        project=project,
        project_id=None if project is None else PROJECTS.setdefault(project, new_id()),
        traceparent=TRACEPARENT,
    )


def stamped(event: CloudEvent, shard: int | None, number: int | None) -> CloudEvent:
    """The event with the relay's own count."""
    members = {name: getattr(event, name) for name in event.__struct_fields__}
    return CloudEvent(**{**members, "sourceshard": shard, "sourcesequence": number})


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 10.0) -> None:
    """Poll until the condition holds, at most ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for lies in other processes
            await asyncio.sleep(0.01)
