"""``up``: brings every process of a stack to the point where it serves, and repairs what died.

Owns the order (``plan``) and what each step does; safe to run at any time, quick when everything runs.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from postern_common.messaging.topology import connected, deploy_topology
from postern_common.persistence.engine import create_engine
from postern_common.persistence.prepare import prepare_database
from postern_devcluster.embedded import PostgresServer, RabbitServer
from postern_devcluster.embedded.errors import check_disk_space
from postern_devcluster.embedded.postgres import installed_versions
from postern_devcluster.stack.code import code_fingerprint
from postern_devcluster.stack.errors import StackError
from postern_devcluster.stack.home import SERVICES, StackHome, write_private
from postern_devcluster.stack.plan import Step, build_plan, run_plan
from postern_devcluster.stack.progress import Progress
from postern_devcluster.stack.running import (
    STOP_SECONDS,
    ensure_running,
    look_at_cluster,
    look_at_service,
    process_of,
    wait_ready,
)
from postern_devcluster.stack.services import (
    Addresses,
    cluster_spec,
    env_values,
    inherited,
    migration_environment,
    service_spec,
)
from postern_devcluster.stack.targets import Targets, without_password

PROGRAMS = Path(sys.executable).parent
MIGRATION_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Launched:
    """A stack that serves."""

    addresses: Addresses
    url: str
    token: str


def launch(home: StackHome, targets: Targets, console: Console) -> Launched:
    """Start what does not run, wait until everything is ready, write ``env``; raises PosternError with a next step."""
    with home.locked(), Progress(console) as progress:
        check_disk_space(home.root)
        launch_ = _Launch(home, targets, progress)
        run_plan(
            build_plan(targets),
            launch_.actions(),
            begun=lambda step: progress.begin(step.name, step.title),
            done=lambda step, said, seconds: _report(progress, step, said, seconds),
        )
        addresses = launch_.addresses
        token = home.secrets().bootstrap_token
        values = env_values(addresses, launch_.ports, token)
        home.write_env(values)
    return Launched(addresses, values["POSTERN_URL"], token)


def _report(progress: Progress, step: Step, said: str, seconds: float) -> None:
    progress.done(step.name, step.title, said, seconds)


class _Launch:
    """The actions of one ``up``; each returns what it did, in words."""

    def __init__(self, home: StackHome, targets: Targets, progress: Progress) -> None:
        self._home = home
        self._targets = targets
        self._progress = progress
        self._secrets = home.secrets()
        self._base = inherited(os.environ)
        self._stop_replaced()
        running = {name for name in ("cluster", *SERVICES) if process_of(home, name).pid is not None}
        self.ports = home.choose_ports(running)
        self._amqp_url = targets.amqp_url or ""
        self._database_url = targets.database_url or ""
        self._versions = tuple(installed_versions())
        self._code = {name: code_fingerprint(f"postern_{name}") for name in SERVICES}

    @property
    def addresses(self) -> Addresses:
        """Where the servers are; complete once the server steps are done."""
        own = self._targets.kubeconfig
        cluster = self._home.cluster
        kubeconfigs = {
            "admin": own or str(cluster / "kubeconfig"),
            "provisioner": own or str(cluster / "provisioner.kubeconfig"),
            "watcher": own or str(cluster / "watcher.kubeconfig"),
        }
        return Addresses(self._amqp_url, self._database_url, kubeconfigs)

    def actions(self) -> dict[str, Callable[[], str]]:
        """Return what each step of the plan does."""
        return {
            "rabbitmq": self._rabbitmq,
            "postgres": self._postgres,
            "cluster": self._cluster,
            "prepare": self._prepare,
            "topology": self._topology,
            **{f"migrate-{service}": self._migration(service) for service in SERVICES},
            **{service: self._service(service) for service in SERVICES},
        }

    def _stop_replaced(self) -> None:
        """Stop own servers that the targets of this command replace."""
        replaced = {
            "rabbitmq": self._targets.amqp_url,
            "postgres": self._targets.database_url,
            "cluster": self._targets.kubeconfig,
        }
        for name, target in replaced.items():
            if target is not None:
                process_of(self._home, name).stop(deadline=STOP_SECONDS)

    def _rabbitmq(self) -> str:
        if self._targets.amqp_url is not None:
            return without_password(self._targets.amqp_url)
        server = RabbitServer(self._home.root, password=self._secrets.rabbitmq, log_directory=self._home.logs)
        found = server.process.pid is not None
        self._amqp_url = server.start()
        return f"127.0.0.1:{server.port} {'running' if found else 'started'}"

    def _postgres(self) -> str:
        if self._targets.database_url is not None:
            return without_password(self._targets.database_url)
        log = self._home.log_file("postgres")
        server = PostgresServer(self._home.root, password=self._secrets.postgres, log_file=log)
        found = server.process.pid is not None
        self._database_url = server.start()
        return f"127.0.0.1:{server.port} {'running' if found else 'started'}"

    def _cluster(self) -> str:
        if self._targets.kubeconfig is not None:
            return self._targets.kubeconfig
        code = code_fingerprint("postern_devcluster")
        spec = cluster_spec(
            self._home, PROGRAMS, self.ports["cluster"], self._base, mode=self._targets.cluster_mode, code=code
        )
        kubeconfig = self._home.cluster / "kubeconfig"
        done = ensure_running(self._home, spec)
        wait_ready(
            process_of(self._home, "cluster"),
            lambda: look_at_cluster(kubeconfig),
            note=lambda missing: self._progress.note("cluster", f"development cluster ({missing})"),
        )
        return f"127.0.0.1:{spec.port} {done}"

    def _prepare(self) -> str:
        passwords = {service: self._secrets.of_role(service) for service in SERVICES}
        asyncio.run(prepare_database(self._database_url, passwords))
        return "there"

    def _topology(self) -> str:
        asyncio.run(_deploy_topology(self._amqp_url, self._database_url))
        return "there"

    def _migration(self, service: str) -> Callable[[], str]:
        def migrate() -> str:
            # The private server's data lie beside the stamp; an own server may have been set up anew since.
            stamp = self._home.root / "run" / f"{service}.migrated"
            own = self._targets.database_url is not None
            if not own and stamp.exists() and stamp.read_text() == self._code[service]:
                return "up to date"
            result = subprocess.run(
                [PROGRAMS / f"postern-{service}", "migrate"],
                env=migration_environment(service, self._database_url, self._base),
                capture_output=True,
                text=True,
                timeout=MIGRATION_SECONDS,
                check=False,
            )
            if result.returncode != 0:
                said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])
                raise StackError(
                    "migration_failed",
                    f"the tables of {service} could not be brought up to date; it said:\n{said}",
                    next_step="mend what it says, then: make up (what was done before stays done)",
                )
            write_private(stamp, "" if own else self._code[service])
            return "migrated"

        return migrate

    def _service(self, service: str) -> Callable[[], str]:
        def run() -> str:
            spec = service_spec(
                service,
                home=self._home,
                programs=PROGRAMS,
                addresses=self.addresses,
                targets=self._targets,
                ports=self.ports,
                versions=self._versions,
                base=self._base,
                code=self._code[service],
            )
            done = ensure_running(self._home, spec)
            wait_ready(
                process_of(self._home, service),
                lambda: look_at_service(spec.port),
                note=lambda missing: self._progress.note(service, f"{service} ({missing})"),
            )
            return f"127.0.0.1:{spec.port} {done}"

        return run


async def _deploy_topology(amqp_url: str, database_url: str) -> None:
    engine = create_engine(database_url, application_name="postern-stack", pool_size=1)
    try:
        async with connected(amqp_url, name="postern-stack") as connection:
            await deploy_topology(connection, engine)
    finally:
        await engine.dispose()
