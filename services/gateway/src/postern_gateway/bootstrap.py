"""Composition root of the gateway: the one place that knows which parts there are and how they are joined."""

import importlib.resources
import os
import secrets
import socket
from dataclasses import dataclass

import httpx
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.broker import GATEWAY_PROJECTION
from postern_common.messaging import BrokerConnection, Consumer, Publisher, add_standard_checks
from postern_common.persistence import (
    DeadLetterStore,
    Inbox,
    Outbox,
    Relay,
    Retention,
    UnitOfWorkFactory,
    create_engine,
)
from postern_common.runtime import Health, Service, Wakeup
from postern_gateway.domain.catalogue import Offer, build_offer, parse_catalogue
from postern_gateway.domain.cursors import CursorSigner
from postern_gateway.handlers.projection import ProjectionHandler
from postern_gateway.routes.app import build_app
from postern_gateway.routes.services import Services
from postern_gateway.services.access import AccessService
from postern_gateway.services.authentication import Authenticator
from postern_gateway.services.catalog import build_catalogue_answer
from postern_gateway.services.databases import DatabaseService
from postern_gateway.services.events import EventService
from postern_gateway.services.idempotent import IdempotentWrites
from postern_gateway.services.operation_waits import OperationWaits
from postern_gateway.services.projection import ProjectionService
from postern_gateway.services.projects import ApiKeyService, ProjectService
from postern_gateway.services.reading import Pager, ReadingService
from postern_gateway.services.recording import SOURCE, RefusalRecorder
from postern_gateway.services.sweeps import Sweeper
from postern_gateway.settings import GatewaySettings
from postern_gateway.storage.databases import DatabaseStore
from postern_gateway.storage.internal_http import InternalService, ProvisionerClient
from postern_gateway.storage.operations import OperationStore, mark_published
from postern_gateway.storage.projects import ApiKeyStore, ProjectStore

NAME = "gateway"
SCHEMA = "gateway"
_MAX_STREAMS = 5_000
_BACKGROUND_POOL = 6


def load_offer(settings: GatewaySettings) -> Offer:
    """The committed catalogue, narrowed by the settings. Raises ``ValueError`` for either's faults."""
    text = importlib.resources.files("postern_gateway").joinpath("catalogue.yaml").read_text("utf-8")
    return build_offer(parse_catalogue(yaml.safe_load(text)), settings.postgres_versions, settings.storage_classes)


@dataclass(frozen=True, slots=True)
class Parts:
    """The inner parts, for the process and for tests that drive them without a broker."""

    services: Services
    projection: ProjectionService
    sweeper: Sweeper
    outbox_wakeup: Wakeup


def build_parts(
    settings: GatewaySettings,
    engine: AsyncEngine,
    *,
    provisioner: httpx.AsyncClient,
    audit: httpx.AsyncClient,
    background: AsyncEngine | None = None,
) -> Parts:
    """Join what needs no broker. Both clients have their base URL; ``background`` is the pool of what no request waits
    for."""
    outbox_wakeup, ended = Wakeup(), Wakeup()
    outbox = Outbox(SCHEMA, outbox_wakeup)
    units = UnitOfWorkFactory(engine, outbox)
    token_key = settings.service_token_key.get_secret_value()
    databases, operations, keys = DatabaseStore(), OperationStore(), ApiKeyStore()
    writes, pager, offer = IdempotentWrites(units), Pager(CursorSigner(token_key)), load_offer(settings)
    authenticator = Authenticator(
        unit_of_work=units, store=keys, bootstrap_token=settings.bootstrap_token.get_secret_value()
    )
    projection = ProjectionService(
        unit_of_work=UnitOfWorkFactory(background or engine, outbox, wakeups=(ended,)),
        inbox=Inbox(SCHEMA, GATEWAY_PROJECTION),
        databases=databases,
        operations=operations,
    )
    to_provisioner = InternalService(provisioner, audience="provisioner", token_key=token_key)
    services = Services(
        authenticator=authenticator,
        projects=ProjectService(engine=engine, writes=writes, store=ProjectStore(), pager=pager),
        api_keys=ApiKeyService(engine=engine, writes=writes, store=keys, pager=pager, authenticator=authenticator),
        databases=DatabaseService(writes=writes, store=databases, offer=offer),
        reading=ReadingService(engine=engine, databases=databases, operations=operations, pager=pager),
        access=AccessService(unit_of_work=units, provisioner=ProvisionerClient(to_provisioner)),
        events=EventService(InternalService(audit, audience="audit", token_key=token_key)),
        waits=OperationWaits(background or engine, ended),
        refusals=RefusalRecorder(units, databases),
        catalogue=build_catalogue_answer(offer),
    )
    return Parts(
        services,
        projection,
        Sweeper(unit_of_work=UnitOfWorkFactory(background or engine, outbox), projection=projection),
        outbox_wakeup,
    )


async def build(settings: GatewaySettings) -> Service:
    """The process. Nothing is connected before its tasks run. Raises ``ValueError`` for an unusable catalogue."""
    url = settings.database_url.get_secret_value()
    engine = create_engine(url, application_name="postern-gateway", pool_size=settings.pool_size)
    # a pool of its own: however many requests wait for a connection, messages go out and events come in
    background = create_engine(url, application_name="postern-gateway-background", pool_size=_BACKGROUND_POOL)
    amqp_url = settings.amqp_url.get_secret_value()
    publishing = BrokerConnection(amqp_url, name="postern-gateway-publish")
    consuming = BrokerConnection(amqp_url, name="postern-gateway-consume")
    limits = httpx.Limits(max_connections=_MAX_STREAMS, max_keepalive_connections=20)
    provisioner = httpx.AsyncClient(base_url=str(settings.provisioner_url), trust_env=False)
    audit = httpx.AsyncClient(base_url=str(settings.audit_url), trust_env=False, limits=limits)
    parts = build_parts(settings, engine, background=background, provisioner=provisioner, audit=audit)
    relay = Relay(
        engine=background,
        schema=SCHEMA,
        source=SOURCE,
        publisher=Publisher(publishing),
        wakeup=parts.outbox_wakeup,
        owner=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        on_sent=mark_published,
    )
    consumer = Consumer(
        connection=consuming,
        queue=GATEWAY_PROJECTION,
        handler=ProjectionHandler(parts.projection),
        dead_letters=DeadLetterStore(background, SCHEMA),
    )
    health = Health()
    add_standard_checks(health, engine=engine, connections=[publishing, consuming], queues=[GATEWAY_PROJECTION])

    async def close() -> None:
        await provisioner.aclose()
        await audit.aclose()
        await engine.dispose()
        await background.dispose()

    return Service(
        name=NAME,
        app=build_app(parts.services, health, docs=settings.docs),
        tasks=(
            ("broker-publish", publishing.run),
            ("broker-consume", consuming.run),
            ("relay", relay.run),
            ("projection", consumer.run),
            ("operation-waits", parts.services.waits.run),
            ("sweeps", parts.sweeper.run),
            ("retention", Retention(background, SCHEMA).run),
        ),
        health=health,
        close=close,
        drain=(consumer.drain, parts.services.events.close_streams),
    )
