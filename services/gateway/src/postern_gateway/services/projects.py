"""Projects and their API keys."""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.identifiers import new_id
from postern_common.errors import Violation
from postern_common.persistence import UnitOfWork, open_transaction
from postern_gateway.domain.access import Principal
from postern_gateway.domain.api_keys import format_key, generate_secret, hash_secret
from postern_gateway.domain.idempotency import IdempotencyKey
from postern_gateway.domain.problems import invalid, refuse
from postern_gateway.domain.records import ApiKeyRecord, ProjectRecord, actor_text
from postern_gateway.domain.representations import show_api_key, show_project
from postern_gateway.domain.requests import CreateApiKey, CreateProject
from postern_gateway.domain.validation import check_name
from postern_gateway.services.authentication import Authenticator
from postern_gateway.services.calls import Answer, Caller, WriteCall, answer_document
from postern_gateway.services.idempotent import IdempotentWrites, to_store
from postern_gateway.services.reading import Pager, PageRequest
from postern_gateway.services.recording import build_action
from postern_gateway.storage.idempotency import insert_key
from postern_gateway.storage.projects import ApiKeyStore, Keyset, ProjectStore

_KNOWN: Final = 10_000


class ProjectService:
    """Projects. A name is never reused and a project never goes, so what was found once is remembered."""

    def __init__(self, *, engine: AsyncEngine, writes: IdempotentWrites, store: ProjectStore, pager: Pager) -> None:
        self._engine = engine
        self._writes = writes
        self._store = store
        self._pager = pager
        self._known: OrderedDict[str, ProjectRecord] = OrderedDict()

    async def find(self, principal: Principal, name: str) -> ProjectRecord:
        """The project, if the caller may know of it. Raises 404, the same whether it is absent or another's."""
        missing = refuse("not_found", f"there is no project {name[:60]}")
        if not principal.is_administrator and principal.project != name:
            raise missing
        project = self._known.get(name)
        if project is None:
            async with open_transaction(self._engine) as connection:
                project = await self._store.find(connection, name)
            if project is None:
                raise missing
            self._known[name] = project
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        if not principal.sees(project.id):
            raise missing
        return project

    def show(self, project: ProjectRecord) -> Answer:
        """The project."""
        return answer_document(show_project(project))

    async def create(self, caller: Caller, key: IdempotencyKey | None, body: CreateProject) -> Answer:
        """201 with the project. Raises 409 ``project_exists`` or 422."""
        faults = check_name(body.name)
        if faults:
            raise invalid(*faults)
        created_by = actor_text(caller.principal.actor)
        project = ProjectRecord(new_id(), body.name, datetime.now(UTC), created_by)

        async def work(unit: UnitOfWork) -> Answer:
            if not await self._store.insert(unit.connection, project):
                raise refuse("project_exists", f"a project called {body.name} exists; names are never reused")
            answer = answer_document(show_project(project), 201, {"Location": f"/v1/projects/{project.name}"})
            stored = to_store(key, answer)
            if stored is not None:
                await insert_key(unit.connection, *stored)
            action = build_action(
                caller,
                project,
                outcome="accepted",
                status=201,
                subject=project.id,
                diff={"name": [None, project.name]},
                created=project.name,
            )
            unit.publish(action)
            return answer

        return await self._writes.run(key, work)

    async def list(self, principal: Principal, page: PageRequest) -> Answer:
        """A page of the projects that the caller may see."""
        only = principal.project_id
        position = self._pager.position(f"projects|{only}", page)
        async with open_transaction(self._engine) as connection:
            rows = await self._store.list(connection, only, Keyset(position, page.ascending), page.limit + 1)
        return self._pager.page(f"projects|{only}", page, rows, lambda r: r.id, show_project)


class ApiKeyService:
    """Keys of a project. A secret is generated here, shown once, and kept as a hash only."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        writes: IdempotentWrites,
        store: ApiKeyStore,
        pager: Pager,
        authenticator: Authenticator,
    ) -> None:
        self._engine = engine
        self._writes = writes
        self._store = store
        self._pager = pager
        self._authenticator = authenticator

    async def create(self, call: WriteCall, body: CreateApiKey) -> Answer:
        """201 with the key. A replay of the request shows everything but the secret: it is stored nowhere."""
        now = datetime.now(UTC)
        if not _is_future(body.expires_at, now):
            raise invalid(Violation("/expires_at", "invalid_value", "must be a time in the future, with its offset"))
        secret = generate_secret()
        record = ApiKeyRecord(
            id=new_id(),
            project_id=call.project.id,
            project=call.project.name,
            name=body.name,
            role=body.role,
            permissions=tuple(dict.fromkeys(body.permissions)),
            created_at=now,
            created_by=actor_text(call.caller.principal.actor),
            expires_at=body.expires_at,
            secret_hash=hash_secret(secret),
        )

        async def work(unit: UnitOfWork) -> Answer:
            await self._store.insert(unit.connection, record)
            location = {"Location": f"/v1/projects/{record.project}/api-keys/{record.id}"}
            stored = to_store(call.key, answer_document(show_api_key(record, None), 201, location))
            if stored is not None:
                await insert_key(unit.connection, *stored)
            diff = {"name": [None, body.name], "role": [None, body.role], "permissions": [None, body.permissions]}
            made = str(record.id)
            unit.publish(
                build_action(call.caller, call.project, outcome="accepted", status=201, diff=diff, created=made)
            )
            return answer_document(show_api_key(record, format_key(record.id, secret)), 201, location)

        return await self._writes.run(call.key, work)

    async def list(self, project: ProjectRecord, page: PageRequest) -> Answer:
        """A page of keys, without secrets."""
        scope = f"api-keys|{project.id}"
        keyset = Keyset(self._pager.position(scope, page), page.ascending)
        async with open_transaction(self._engine) as connection:
            rows = await self._store.list(connection, project.id, keyset, page.limit + 1)
        return self._pager.page(scope, page, rows, lambda r: r.id, show_api_key)

    async def delete(self, call: WriteCall, key_id: UUID) -> Answer:
        """204; the key is refused from now on. Raises 404."""

        async def work(unit: UnitOfWork) -> Answer:
            deleted = await self._store.delete(unit.connection, call.project.id, key_id)
            if deleted is None:
                raise refuse("not_found", f"project {call.project.name} has no API key {key_id}")
            answer = Answer(204, b"")
            stored = to_store(call.key, answer)
            if stored is not None:
                await insert_key(unit.connection, *stored)
            name, role = deleted
            diff = {"name": [name, None], "role": [role, None]}
            unit.publish(build_action(call.caller, call.project, outcome="accepted", status=204, diff=diff))
            return answer

        answer = await self._writes.run(call.key, work)
        self._authenticator.forget(key_id)
        return answer


def _is_future(moment: datetime | None, now: datetime) -> bool:
    try:
        return moment is None or (moment.tzinfo is not None and moment.astimezone(UTC) > now)
    except OverflowError:  # the last day of the calendar, with an offset
        return False
