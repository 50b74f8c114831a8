"""Receiving: a command becomes a target and an answer in one transaction; no more is done while it is held."""

from uuid import UUID

from postern_common.contracts.broker import PROVISIONER_COMMANDS, PROVISIONER_SIGNALS
from postern_common.contracts.cloudevent import CloudEvent, build_event
from postern_common.contracts.commands import ApplyDatabase, DatabaseCommand, DeleteDatabase, SwitchoverDatabase
from postern_common.contracts.events import DatabaseReceived
from postern_common.contracts.identifiers import namespace_name
from postern_common.logging import get_logger
from postern_common.persistence import Inbox, UnitOfWorkFactory
from postern_common.runtime import crashpoint
from postern_common.telemetry import current_traceparent
from postern_provisioner.domain.crashpoints import AFTER_INBOX_COMMIT
from postern_provisioner.domain.target import DatabaseIdentity
from postern_provisioner.storage.targets import NewGeneration, TargetStore

SOURCE = "/postern/provisioner"

log = get_logger(__name__)


class ReceivingService:
    """Stores commands and signals; the reconcile loop is woken by the unit of work's commit."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWorkFactory,
        targets: TargetStore,
        commands: Inbox,
        signals: Inbox,
        namespace_prefix: str,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._targets = targets
        self._commands = commands
        self._signals = signals
        self._prefix = namespace_prefix

    async def receive(self, event: CloudEvent, command: ApplyDatabase | SwitchoverDatabase | DeleteDatabase) -> None:
        """Raise the target to the command's generation.

        A command that was seen before changes nothing but is answered again: the gateway repeats it exactly because the
        first answer may be lost (semantics 14).
        """
        new = self._new_generation(event, command)
        async with self._unit_of_work() as work:
            is_new = await self._commands.insert(work.connection, event)
            raised = is_new and await self._targets.raise_generation(work.connection, new)
            work.publish(_received(event, command))
        crashpoint(AFTER_INBOX_COMMIT)
        log.info("command_received", generation=command.generation, duplicate=not is_new, raised=raised)

    async def request_recheck(self, event: CloudEvent, database_id: UUID) -> None:
        """Somebody else touched an object: look at the database at once."""
        async with self._unit_of_work() as work:
            if await self._signals.insert(work.connection, event):
                await self._targets.request_recheck(work.connection, [database_id])

    def _new_generation(
        self, event: CloudEvent, command: ApplyDatabase | SwitchoverDatabase | DeleteDatabase
    ) -> NewGeneration:
        traceparent, tracestate = current_traceparent()
        is_delete = isinstance(command, DeleteDatabase)
        return NewGeneration(
            identity=DatabaseIdentity(
                database_id=command.database_id,
                project_id=command.project_id,
                project=command.project,
                name=command.name,
                cluster_name=command.cluster_name,
                namespace=namespace_name(self._prefix, command.project),
            ),
            generation=command.generation,
            operation_id=command.operation_id,
            goal=command.goal,
            desired=None if isinstance(command, DeleteDatabase) else command.desired,
            is_tombstone=is_delete,
            undo_resize=isinstance(command, ApplyDatabase) and command.undo_resize,
            pending_switchover=command.expected_primary if isinstance(command, SwitchoverDatabase) else None,
            causation_id=event.id,
            traceparent=traceparent or event.traceparent,
            tracestate=tracestate if traceparent else event.tracestate,
        )


def _received(event: CloudEvent, command: DatabaseCommand) -> CloudEvent:
    traceparent, tracestate = current_traceparent()
    return build_event(
        DatabaseReceived(
            database_id=command.database_id,
            project_id=command.project_id,
            project=command.project,
            name=command.name,
            generation=command.generation,
            operation_id=command.operation_id,
        ),
        source=SOURCE,
        subject=str(command.database_id),
        project=command.project,
        project_id=command.project_id,
        operation_id=command.operation_id,
        causation_id=event.id,
        traceparent=traceparent or event.traceparent,
        tracestate=tracestate if traceparent else event.tracestate,
    )


COMMAND_CONSUMER = PROVISIONER_COMMANDS
SIGNAL_CONSUMER = PROVISIONER_SIGNALS
