"""Composition root of the watcher: the one place that knows which parts there are and how they are joined."""

import contextlib
import os
import secrets
import socket

from starlette.applications import Starlette

from postern_common.errors import DependencyDownError
from postern_common.kube.client import KubeApi, KubeClient
from postern_common.messaging import BrokerConnection, Publisher, add_standard_checks
from postern_common.persistence import LeaseStore, Outbox, Relay, Retention, UnitOfWorkFactory, create_engine
from postern_common.runtime import Health, Service, Wakeup, health_routes
from postern_watcher.observers.session import WatchSessions
from postern_watcher.services.announcing import SOURCE
from postern_watcher.services.leadership import LeadershipService
from postern_watcher.settings import WatcherSettings
from postern_watcher.storage.rows import LEASE

NAME = "postern-watcher"
SCHEMA = "watcher"


async def build(settings: WatcherSettings, client: KubeApi | None = None) -> Service:
    """Join the parts; ``client`` replaces the settings' one. Raises ``PermanentError`` for an unusable kubeconfig."""
    kube = client or await KubeClient.connect(settings.kubeconfig)
    engine = create_engine(settings.database_url.get_secret_value(), application_name=NAME)
    connection = BrokerConnection(settings.amqp_url.get_secret_value(), name=NAME)
    wakeup = Wakeup()
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    units = UnitOfWorkFactory(engine, Outbox(SCHEMA, wakeup))
    relay = Relay(
        engine=engine, schema=SCHEMA, source=SOURCE, publisher=Publisher(connection), wakeup=wakeup, owner=owner
    )
    sessions = WatchSessions(client=kube, engine=engine, units=units, fenced=lambda: leadership.doubt())  # noqa: PLW0108 (made below)
    leadership = LeadershipService(LeaseStore(engine, SCHEMA, LEASE, owner=owner), sessions.run)
    health = Health()
    add_standard_checks(health, engine=engine, connections=[connection])

    async def cluster() -> None:
        if not leadership.decided:
            raise DependencyDownError("starting", "it is not decided yet which watcher leads")
        if leadership.epoch is not None:
            await sessions.check()

    health.add("cluster", cluster)

    async def close() -> None:
        with contextlib.suppress(DependencyDownError):  # the lease ends by itself
            await leadership.release()
        if isinstance(kube, KubeClient):
            await kube.close()
        await engine.dispose()

    return Service(
        name=NAME,
        app=Starlette(routes=health_routes(health, NAME)),
        tasks=(
            ("broker", connection.run),
            ("relay", relay.run),
            ("retention", Retention(engine, SCHEMA).run),
            ("leadership", leadership.run),
        ),
        health=health,
        close=close,
    )
