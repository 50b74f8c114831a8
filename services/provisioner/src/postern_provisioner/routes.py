"""The internal HTTP API: connection and credentials, for the gateway only, by a 60-second service token."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, SecretStr, field_serializer

from postern_common.http import bearer_token, verify_service_token
from postern_provisioner.domain.addresses import Endpoint
from postern_provisioner.services.connecting import ConnectionService

AUDIENCE = "provisioner"


class EndpointOut(BaseModel):
    """An address of a database."""

    role: str
    scope: str
    host: str
    port: int


class ConnectionOut(BaseModel):
    """Where a database is reached; ``ca_certificate`` is PEM."""

    endpoints: list[EndpointOut]
    dbname: str
    sslmode: str
    ca_certificate: str


class CredentialsOut(BaseModel):
    """How a database is entered."""

    username: str
    password: SecretStr
    dbname: str
    host: str
    port: int
    sslmode: str

    @field_serializer("password")
    def _reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


def build_router(connections: ConnectionService, *, token_key: str) -> APIRouter:
    """The routes; every one of them needs a token for the audience ``provisioner``."""

    def require_token(authorization: Annotated[str | None, Header()] = None) -> None:
        verify_service_token(token_key, bearer_token(authorization), audience=AUDIENCE)

    router = APIRouter(prefix="/internal/v1/databases/{database_id}", dependencies=[Depends(require_token)])

    @router.get("/connection")
    async def read_connection(database_id: UUID) -> ConnectionOut:
        found = await connections.connection(database_id)
        return ConnectionOut(
            endpoints=[_endpoint(endpoint) for endpoint in found.endpoints],
            dbname=found.dbname,
            sslmode=found.sslmode,
            ca_certificate=found.ca_certificate,
        )

    @router.get("/credentials")
    async def read_credentials(database_id: UUID, response: Response) -> CredentialsOut:
        found = await connections.credentials(database_id)
        response.headers["Cache-Control"] = "no-store"
        return CredentialsOut(
            username=found.username,
            password=SecretStr(found.password),
            dbname=found.dbname,
            host=found.endpoint.host,
            port=found.endpoint.port,
            sslmode=found.sslmode,
        )

    return router


def _endpoint(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(role=endpoint.role.value, scope=endpoint.scope, host=endpoint.host, port=endpoint.port)
