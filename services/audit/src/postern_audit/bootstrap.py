"""Composition root of the audit service: the one place that knows which parts there are and how they are joined."""

import os
import secrets
import socket
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_audit.domain.entry import require_storable
from postern_audit.routes.access import require_service
from postern_audit.routes.pages import page_routes
from postern_audit.routes.streams import stream_routes
from postern_audit.services.appending import AppendingService
from postern_audit.services.checkpointing import CheckpointingService
from postern_audit.services.paging import PagingService
from postern_audit.services.partitioning import PartitioningService
from postern_audit.services.streaming import StreamingService
from postern_audit.services.tail import Tail
from postern_audit.services.writing import LEASE_SECONDS, Handler, WritingService
from postern_audit.settings import AuditSettings
from postern_audit.storage.checkpoints import CheckpointFile, ensure_signing_key, load_signing_key
from postern_audit.storage.ledger_reader import LedgerReader
from postern_common.contracts.broker import AUDIT_LEDGER
from postern_common.http import RequestContextMiddleware, install_problem_handlers
from postern_common.messaging import BatchConsumer, BrokerConnection, add_standard_checks
from postern_common.persistence import (
    DeadLetterStore,
    Inbox,
    LeaseStore,
    Outbox,
    Retention,
    UnitOfWorkFactory,
    create_engine,
)
from postern_common.runtime import Health, Service, Wakeup, health_routes

NAME = "postern-audit"
SCHEMA = "audit"


async def build(settings: AuditSettings) -> Service:
    """Join the parts. Nothing is connected before the tasks run; raises ``PermanentError`` for an unusable key."""
    key = signing_key(settings)
    engine = create_engine(settings.database_url.get_secret_value(), application_name=NAME)
    connection = BrokerConnection(settings.amqp_url.get_secret_value(), name=NAME)
    tail_wakeup, checkpoint_wakeup = Wakeup(), Wakeup()
    reader = LedgerReader(engine)
    tail = Tail(reader, tail_wakeup)
    units = UnitOfWorkFactory(engine, Outbox(SCHEMA, Wakeup()), wakeups=(tail_wakeup, checkpoint_wakeup))
    writing = _writing(engine, connection, units, checkpoints(settings.checkpoints, key, reader, checkpoint_wakeup))
    health = Health()
    add_standard_checks(health, engine=engine, connections=[connection], queues=[AUDIT_LEDGER])

    async def close() -> None:
        await engine.dispose()

    return Service(
        name=NAME,
        app=_application(settings, health, PagingService(reader), StreamingService(reader, tail)),
        tasks=(
            ("broker", connection.run),
            ("tail", tail.run),
            ("writer", writing.run),
            ("retention", Retention(engine, SCHEMA).run),
        ),
        health=health,
        drain=(tail.close, writing.stop),
        close=close,
    )


def signing_key(settings: AuditSettings) -> Ed25519PrivateKey:
    """The key that was given, or the one of the state directory, made at the first start."""
    if settings.checkpoint_key_file is not None:
        return load_signing_key(settings.checkpoint_key_file)
    return ensure_signing_key(settings.generated_key)


def checkpoints(file: Path, key: Ed25519PrivateKey, reader: LedgerReader, wakeup: Wakeup) -> CheckpointingService:
    """Checkpoints into ``file``."""
    return CheckpointingService(reader=reader, file=CheckpointFile(file), key=key, wakeup=wakeup)


def _writing(
    engine: AsyncEngine, connection: BrokerConnection, units: UnitOfWorkFactory, checkpointing: CheckpointingService
) -> WritingService:
    dead_letters = DeadLetterStore(engine, SCHEMA)

    def consumer(handler: Handler) -> BatchConsumer:
        return BatchConsumer(
            connection=connection,
            queue=AUDIT_LEDGER,
            handler=handler,
            dead_letters=dead_letters,
            accept=require_storable,
        )

    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    return WritingService(
        lease=LeaseStore(engine, SCHEMA, "ledger-writer", owner=owner, ttl=LEASE_SECONDS),
        appending=AppendingService(units, Inbox(SCHEMA, AUDIT_LEDGER)),
        consumer=consumer,
        duties=(checkpointing.run, PartitioningService(engine).run),
    )


def _application(
    settings: AuditSettings, health: Health, paging: PagingService, streaming: StreamingService
) -> FastAPI:
    app = FastAPI(title=NAME, openapi_url=None, docs_url=None, redoc_url=None)
    install_problem_handlers(app)
    app.add_middleware(RequestContextMiddleware)
    access = [Depends(require_service(settings.service_token_key.get_secret_value()))]
    app.include_router(stream_routes(streaming), dependencies=access)
    app.include_router(page_routes(paging), dependencies=access)
    app.router.routes.extend(health_routes(health, NAME))
    return app
