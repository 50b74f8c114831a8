"""Message handlers: decode, call one service. Errors are settled by the consumer's table."""

from collections.abc import Awaitable, Callable

from postern_common.contracts.cloudevent import CloudEvent
from postern_common.contracts.commands import ApplyDatabase, DeleteDatabase, SwitchoverDatabase
from postern_common.contracts.events import ObjectDrifted
from postern_common.contracts.registry import BY_MODEL
from postern_common.errors import PoisonError
from postern_provisioner.services.receiving import ReceivingService

_COMMANDS: dict[str, type[ApplyDatabase] | type[SwitchoverDatabase] | type[DeleteDatabase]] = {
    BY_MODEL[model].type: model for model in (ApplyDatabase, SwitchoverDatabase, DeleteDatabase)
}
_DRIFTED = BY_MODEL[ObjectDrifted].type


def command_handler(receiving: ReceivingService) -> Callable[[CloudEvent], Awaitable[None]]:
    """Handler of ``provisioner.commands``. Raises ``PoisonError`` for events and payloads that do not belong there."""

    async def handle_command(event: CloudEvent) -> None:
        model = _COMMANDS.get(event.type)
        if model is None:
            raise PoisonError("unexpected_type", f"{event.type} is no command")
        await receiving.receive(event, event.payload(model))

    return handle_command


def signal_handler(receiving: ReceivingService) -> Callable[[CloudEvent], Awaitable[None]]:
    """Handler of ``provisioner.signals``."""

    async def handle_signal(event: CloudEvent) -> None:
        if event.type != _DRIFTED:
            raise PoisonError("unexpected_type", f"{event.type} is no signal")
        await receiving.request_recheck(event, event.payload(ObjectDrifted).database_id)

    return handle_signal
