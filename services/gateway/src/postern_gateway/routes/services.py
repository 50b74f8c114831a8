"""The services that routes call, as one value made by the composition root."""

from dataclasses import dataclass

from postern_gateway.services.access import AccessService
from postern_gateway.services.authentication import Authenticator
from postern_gateway.services.calls import Answer
from postern_gateway.services.databases import DatabaseService
from postern_gateway.services.events import EventService
from postern_gateway.services.operation_waits import OperationWaits
from postern_gateway.services.projects import ApiKeyService, ProjectService
from postern_gateway.services.reading import ReadingService
from postern_gateway.services.recording import RefusalRecorder


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the routes."""

    authenticator: Authenticator
    projects: ProjectService
    api_keys: ApiKeyService
    databases: DatabaseService
    reading: ReadingService
    access: AccessService
    events: EventService
    waits: OperationWaits
    refusals: RefusalRecorder
    catalogue: Answer
