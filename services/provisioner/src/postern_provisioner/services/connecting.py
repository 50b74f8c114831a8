"""Connections and credentials, read from Kubernetes when asked and kept nowhere: the database holds no password."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from typing_extensions import override

from postern_common.contracts.kubernetes import DATABASE_NAME
from postern_common.errors import ClientError
from postern_common.kube.paths import SECRETS, SERVICES
from postern_common.logging import get_logger
from postern_provisioner.domain.addresses import AddressMode, Endpoint, Role, endpoint_of, service_name
from postern_provisioner.domain.target import DatabaseIdentity, Target
from postern_provisioner.services.concurrency import concurrently
from postern_provisioner.storage.objects import ObjectStore
from postern_provisioner.storage.targets import TargetStore

SSL_MODE = "require"
RETRY_AFTER_SECONDS = 1

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a database is reached."""

    endpoints: tuple[Endpoint, ...]
    dbname: str
    sslmode: str
    ca_certificate: str
    """PEM."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How a database is entered. ``password`` is shown once per call and never logged."""

    username: str
    password: str
    dbname: str
    endpoint: Endpoint
    sslmode: str

    @override
    def __repr__(self) -> str:
        """Without the password: objects end up in tracebacks."""
        return f"Credentials(username={self.username!r}, dbname={self.dbname!r})"


class ConnectionService:
    """Answers the gateway. Raises ``ClientError`` 404 for unknown databases, 503 while objects are not there yet."""

    def __init__(self, *, objects: ObjectStore, targets: TargetStore, mode: AddressMode) -> None:
        self._objects = objects
        self._targets = targets
        self._mode = mode

    async def connection(self, database_id: UUID) -> Connection:
        """Endpoints of all roles that the database has, and the CA that signs its certificates."""
        target = await self._find(database_id)
        instances = target.desired.instances if target.desired is not None else 1
        roles = [role for role in Role if role is not Role.REPLICAS or instances > 1]
        secret = await self._secret(target.identity, f"{target.identity.cluster_name}-ca")
        endpoints = await concurrently(*(self._endpoint(target.identity, role) for role in roles))
        # The secret holds the authority's key, too: only its certificate leaves this function.
        return Connection(tuple(endpoints), DATABASE_NAME, SSL_MODE, _field(secret, "ca.crt"))

    async def credentials(self, database_id: UUID) -> Credentials:
        """The application's role. Composed here: after a rotation the secret's own URIs keep the old password."""
        target = await self._find(database_id)
        endpoint = await self._endpoint(target.identity, Role.PRIMARY)
        secret = await self._secret(target.identity, f"{target.identity.cluster_name}-app")
        log.info("credentials_read", database_id=str(database_id))
        return Credentials(
            username=_field(secret, "username"),
            password=_field(secret, "password"),
            dbname=_field(secret, "dbname"),
            endpoint=endpoint,
            sslmode=SSL_MODE,
        )

    async def _find(self, database_id: UUID) -> Target:
        target = await self._targets.find(database_id)
        if target is None or target.is_tombstone:
            raise ClientError(404, "not_found", "There is no such database.")
        return target

    async def _endpoint(self, identity: DatabaseIdentity, role: Role) -> Endpoint:
        name = service_name(identity.cluster_name, role, self._mode)
        service = await self._objects.get(SERVICES, name, identity.namespace)
        endpoint = None if service is None else endpoint_of(service, role, self._mode)
        if endpoint is None:
            raise _not_yet("The database has no address yet.")
        return endpoint

    async def _secret(self, identity: DatabaseIdentity, name: str) -> Mapping[str, Any]:
        secret = await self._objects.get(SECRETS, name, identity.namespace)
        if secret is None:
            raise _not_yet("The database has no credentials yet.")
        return secret


def _field(secret: Mapping[str, Any], name: str) -> str:
    value = (secret.get("data") or {}).get(name)
    if not value:
        raise _not_yet("The database's credentials are not complete yet.")
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _not_yet("The database's credentials cannot be read.") from None


def _not_yet(detail: str) -> ClientError:
    return ClientError(503, "not_provisioned_yet", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
