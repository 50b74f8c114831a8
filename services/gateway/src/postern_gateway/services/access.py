"""How to reach a database: addresses, and the application role's credentials, whose every read is audited first."""

from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from postern_common.errors import DependencyDownError
from postern_common.persistence import UnitOfWorkFactory
from postern_gateway.domain.records import DatabaseRecord, ProjectRecord
from postern_gateway.domain.representations import Connection, Credentials
from postern_gateway.services.calls import Answer, Caller, answer_document
from postern_gateway.services.recording import build_action
from postern_gateway.storage.internal_http import ProvisionerClient

NO_STORE: Final = {"Cache-Control": "no-store"}


class ReleasedCredentials(msgspec.Struct, frozen=True):
    """What the provisioner hands out."""

    username: str
    password: str
    dbname: str
    host: str
    port: int
    sslmode: str = "require"


def compose_credentials(given: ReleasedCredentials) -> Credentials:
    """Connection strings are composed by us: after a rotation the operator's own keep the old password
    (design/kubernetes.md). ``uri`` works in bare psql (semantics 23)."""
    host = f"[{given.host}]" if ":" in given.host else given.host
    user, password, dbname = (quote(part, safe="") for part in (given.username, given.password, given.dbname))
    uri = f"postgresql://{user}:{password}@{host}:{given.port}/{dbname}?{urlencode({'sslmode': given.sslmode})}"
    secret = urlencode({"user": given.username, "password": given.password, "sslmode": given.sslmode}, quote_via=quote)
    return Credentials(
        username=given.username,
        password=given.password,
        dbname=given.dbname,
        host=given.host,
        port=given.port,
        uri=uri,
        jdbc_uri=f"jdbc:postgresql://{host}:{given.port}/{dbname}?{secret}",
    )


class AccessService:
    """Addresses and credentials."""

    def __init__(self, *, unit_of_work: UnitOfWorkFactory, provisioner: ProvisionerClient) -> None:
        self._unit_of_work = unit_of_work
        self._provisioner = provisioner

    async def connection(self, database: DatabaseRecord) -> Answer:
        """Addresses without a secret. Raises 503 ``not_provisioned_yet``."""
        return answer_document(_decode(await self._provisioner.connection(database.id), Connection))

    async def credentials(self, caller: Caller, project: ProjectRecord, database: DatabaseRecord) -> Answer:
        """The credentials, once their read is in the outbox: no record, no release. Raises 503
        ``not_provisioned_yet``.
        """
        given = _decode(await self._provisioner.credentials(database.id), ReleasedCredentials)
        async with self._unit_of_work() as unit:
            unit.publish(build_action(caller, project, outcome="read", status=200, subject=database.id))
        return Answer(200, msgspec.json.encode(compose_credentials(given)), dict(NO_STORE))


S = TypeVar("S", bound=msgspec.Struct)


def _decode(document: bytes, model: type[S]) -> S:
    try:
        return msgspec.json.decode(document, type=model)
    except msgspec.MsgspecError as error:
        raise DependencyDownError(
            "dependency_unavailable", "the provisioner's answer has another form", retry_after=5
        ) from error
