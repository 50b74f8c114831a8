"""The consumer of ``gateway.projection``: hands every event to the projection."""

from postern_common.contracts.cloudevent import CloudEvent
from postern_gateway.services.projection import ProjectionService


class ProjectionHandler:
    """A handler for ``postern_common.messaging.Consumer``."""

    def __init__(self, service: ProjectionService) -> None:
        self._service = service

    async def __call__(self, event: CloudEvent) -> None:
        """One event, one transaction."""
        await self._service.apply(event)
