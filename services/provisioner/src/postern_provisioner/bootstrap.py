"""The composition root: everything is made and connected here, once, and nowhere else."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from postern_common.contracts.broker import PROVISIONER_COMMANDS, PROVISIONER_SIGNALS
from postern_common.contracts.identifiers import new_id
from postern_common.errors import DependencyDownError
from postern_common.http import RequestContextMiddleware, install_problem_handlers
from postern_common.kube.client import KubeApi, KubeClient
from postern_common.logging import get_logger
from postern_common.messaging import BrokerConnection, Consumer, Publisher, add_standard_checks
from postern_common.persistence import (
    DeadLetterStore,
    Inbox,
    LeaseStore,
    Outbox,
    Relay,
    Retention,
    UnitOfWorkFactory,
    create_engine,
    read_installation,
)
from postern_common.runtime import Health, Service, Wakeup, backoff, health_routes
from postern_provisioner.handlers import command_handler, signal_handler
from postern_provisioner.manifests.database import ManifestOptions
from postern_provisioner.routes import build_router
from postern_provisioner.services.applying import ApplyService
from postern_provisioner.services.capabilities import Capabilities
from postern_provisioner.services.connecting import ConnectionService
from postern_provisioner.services.projects import ProjectService
from postern_provisioner.services.receiving import SOURCE, ReceivingService
from postern_provisioner.services.reconciling import ReconcileService
from postern_provisioner.services.removing import RemoveService
from postern_provisioner.services.resyncing import ResyncService, SweepService
from postern_provisioner.services.switching import SwitchoverService
from postern_provisioner.settings import ProvisionerSettings
from postern_provisioner.storage.claims import LEASE_SECONDS, ClaimStore
from postern_provisioner.storage.objects import ClusterFacts, ObjectStore
from postern_provisioner.storage.targets import TargetStore

SCHEMA = "provisioner"
NAME = "provisioner"
RESYNC_LEASE_SECONDS = 300.0
START_SECONDS = 60.0
"""So long the database may be late at the start; then the process ends and its supervisor decides."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """The services that do the work; tests build them without a broker or an HTTP server."""

    receiving: ReceivingService
    reconciling: ReconcileService
    resyncing: ResyncService
    sweeping: SweepService
    connections: ConnectionService
    capabilities: Capabilities
    outbox_wakeup: Wakeup


def build_parts(
    *,
    engine: AsyncEngine,
    kube: KubeApi,
    options: ManifestOptions,
    owner: str,
    namespace_prefix: str,
    lease_seconds: float = LEASE_SECONDS,
) -> Parts:
    """Connect stores and services over a database and an API server."""
    outbox_wakeup, due_wakeup = Wakeup(), Wakeup()
    outbox = Outbox(SCHEMA, outbox_wakeup)
    receiving_work = UnitOfWorkFactory(engine, outbox, wakeups=[due_wakeup])
    targets, objects = TargetStore(engine), ObjectStore(kube, options.installation)
    capabilities, projects = Capabilities(ClusterFacts(kube)), ProjectService(objects, options)
    claims = ClaimStore(engine, owner=owner, seconds=lease_seconds)
    return Parts(
        receiving=ReceivingService(
            unit_of_work=receiving_work,
            targets=targets,
            commands=Inbox(SCHEMA, PROVISIONER_COMMANDS),
            signals=Inbox(SCHEMA, PROVISIONER_SIGNALS),
            namespace_prefix=namespace_prefix,
        ),
        reconciling=ReconcileService(
            claims=claims,
            unit_of_work=UnitOfWorkFactory(engine, outbox),
            applying=_build_applying(kube, objects, capabilities, projects, options),
            removing=RemoveService(
                objects=objects, claims=claims, capabilities=capabilities, installation=options.installation
            ),
            wakeup=due_wakeup,
        ),
        resyncing=ResyncService(
            objects=objects,
            targets=targets,
            unit_of_work=receiving_work,
            capabilities=capabilities,
            projects=projects,
            lease=LeaseStore(engine, SCHEMA, "resync", owner=owner, ttl=RESYNC_LEASE_SECONDS),
            options=options,
        ),
        sweeping=SweepService(targets, due_wakeup.set),
        connections=ConnectionService(objects=objects, targets=targets, mode=options.address_mode),
        capabilities=capabilities,
        outbox_wakeup=outbox_wakeup,
    )


def _build_applying(
    kube: KubeApi,
    objects: ObjectStore,
    capabilities: Capabilities,
    projects: ProjectService,
    options: ManifestOptions,
) -> ApplyService:
    return ApplyService(
        objects=objects,
        facts=ClusterFacts(kube),
        capabilities=capabilities,
        projects=projects,
        switchovers=SwitchoverService(objects),
        options=options,
    )


async def build(settings: ProvisionerSettings) -> Service:
    """Make the service. Waits for the database and reads the kubeconfig; everything else connects in its tasks."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{new_id().hex[-8:]}"
    engine = create_engine(settings.database_url.get_secret_value(), application_name="postern-provisioner")
    kube = await KubeClient.connect(settings.kubeconfig)
    options = ManifestOptions(
        installation=await _installation(engine),
        images=settings.images,
        address_mode=settings.address_mode,
        operator_namespace=settings.operator_namespace,
    )
    parts = build_parts(
        engine=engine, kube=kube, options=options, owner=owner, namespace_prefix=settings.namespace_prefix
    )
    amqp_url = settings.amqp_url.get_secret_value()
    publishing = BrokerConnection(amqp_url, name=f"postern-{NAME}-publish")
    consuming = BrokerConnection(amqp_url, name=f"postern-{NAME}-consume")
    commands, signals = build_consumers(parts.receiving, consuming, DeadLetterStore(engine, SCHEMA))
    relay = Relay(
        engine=engine,
        schema=SCHEMA,
        source=SOURCE,
        publisher=Publisher(publishing),
        wakeup=parts.outbox_wakeup,
        owner=owner,
    )
    health = _build_health(engine, [consuming, publishing], parts.capabilities)

    async def close() -> None:
        await kube.close()
        await engine.dispose()

    return Service(
        name=NAME,
        app=build_app(parts.connections, health, token_key=settings.service_token_key.get_secret_value()),
        tasks=(
            ("broker-publish", publishing.run),
            ("broker-consume", consuming.run),
            ("commands", commands.run),
            ("signals", signals.run),
            ("relay", relay.run),
            ("reconcile", parts.reconciling.run),
            ("resync", parts.resyncing.run),
            ("sweep", parts.sweeping.run),
            ("retention", Retention(engine, SCHEMA).run),
        ),
        health=health,
        close=close,
        drain=(commands.drain, signals.drain, parts.reconciling.drain),
    )


def _build_health(engine: AsyncEngine, connections: Sequence[BrokerConnection], capabilities: Capabilities) -> Health:
    health = Health()
    queues = [PROVISIONER_COMMANDS, PROVISIONER_SIGNALS]
    add_standard_checks(health, engine=engine, connections=connections, queues=queues)
    health.add("kubernetes", capabilities.check)
    return health


def build_consumers(
    receiving: ReceivingService, connection: BrokerConnection, dead_letters: DeadLetterStore
) -> tuple[Consumer, Consumer]:
    """The consumers of commands and of signals."""
    return (
        Consumer(
            connection=connection,
            queue=PROVISIONER_COMMANDS,
            handler=command_handler(receiving),
            dead_letters=dead_letters,
        ),
        Consumer(
            connection=connection,
            queue=PROVISIONER_SIGNALS,
            handler=signal_handler(receiving),
            dead_letters=dead_letters,
        ),
    )


def build_app(connections: ConnectionService, health: Health, *, token_key: str) -> FastAPI:
    """The HTTP application: internal routes, health, problem documents."""
    app = FastAPI(title="Postern provisioner", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(build_router(connections, token_key=token_key))
    app.router.routes.extend(health_routes(health, NAME))
    install_problem_handlers(app)
    app.add_middleware(RequestContextMiddleware)
    return app


async def _installation(engine: AsyncEngine) -> str:
    deadline = time.monotonic() + START_SECONDS
    delays = backoff()
    while True:
        try:
            return await read_installation(engine)
        except DependencyDownError as error:
            if time.monotonic() >= deadline:
                raise
            log.warning("installation_not_read", code=error.code, detail=error.detail)
            await asyncio.sleep(next(delays))
