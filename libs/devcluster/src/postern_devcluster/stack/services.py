"""The four services and the development cluster as processes: their commands and their whole environment.

Pure, so that a test can say what a service is told; starting them is ``launch``'s business.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from postern_devcluster.stack.home import SERVICES, StackHome
from postern_devcluster.stack.targets import CLUSTER_MODES, Targets, role_url

PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "SSL_CERT_FILE", "POSTERN_LOG_LEVEL", "POSTERN_NAMESPACE_PREFIX")
"""What a process inherits of the caller's environment, beside ``OTEL_*``: nothing that could choose a target."""


STORAGE_CLASSES = "standard,fixed"
"""What the development cluster is seeded with: volumes that grow, and volumes that do not."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How a process is started, and where it says that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    code: str = ""
    """Fingerprint of the code that it runs."""

    @property
    def fingerprint(self) -> str:
        """Changes with anything that the process was told, and with its code."""
        told = json.dumps([self.command, sorted(self.environment.items()), self.code])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are, as known once they run."""

    amqp_url: str
    database_url: str
    kubeconfigs: Mapping[str, str]
    """By user: ``admin``, ``provisioner``, ``watcher``."""


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the caller's environment that processes inherit."""
    return {key: value for key, value in environment.items() if key in PASSED_ON or key.startswith("OTEL_")}


def service_spec(
    service: str,
    *,
    home: StackHome,
    programs: Path,
    addresses: Addresses,
    targets: Targets,
    ports: Mapping[str, int],
    versions: Sequence[int],
    base: Mapping[str, str],
    code: str = "",
) -> ProcessSpec:
    """Return how to start ``service``; ``versions`` are the PostgreSQL majors installed on this machine."""
    secrets = home.secrets()
    environment = {
        **base,
        "POSTERN_DATABASE_URL": role_url(addresses.database_url, service, secrets.of_role(service)),
        "POSTERN_AMQP_URL": addresses.amqp_url,
        "POSTERN_HOST": "127.0.0.1",
        "POSTERN_PORT": str(ports[service]),
        "POSTERN_SERVICE_TOKEN_KEY": secrets.service_token_key,
    }
    own_cluster = targets.kubeconfig is not None
    if service == "gateway":
        environment |= {
            "POSTERN_BOOTSTRAP_TOKEN": secrets.bootstrap_token,
            "POSTERN_PROVISIONER_URL": f"http://127.0.0.1:{ports['provisioner']}",
            "POSTERN_AUDIT_URL": f"http://127.0.0.1:{ports['audit']}",
            **({} if own_cluster else {"POSTERN_STORAGE_CLASSES": STORAGE_CLASSES}),
            "POSTERN_POSTGRES_VERSIONS": targets.postgres_versions if own_cluster else ",".join(map(str, versions)),
        }
    if service in {"provisioner", "watcher"}:
        environment["KUBECONFIG"] = addresses.kubeconfigs[service]
    if service == "audit":
        environment["POSTERN_STATE_DIRECTORY"] = str(home.root / "audit")
    if service == "provisioner":
        environment["POSTERN_ADDRESS_MODE"] = targets.address_mode if own_cluster else "development"
    return ProcessSpec(service, (str(programs / f"postern-{service}"), "serve"), environment, ports[service], code)


def cluster_spec(
    home: StackHome, programs: Path, port: int, base: Mapping[str, str], *, mode: str = "processes", code: str = ""
) -> ProcessSpec:
    """Return how to start the development cluster; ``mode`` is one of ``CLUSTER_MODES``."""
    place = ("--state-dir", str(home.cluster), "--port", str(port))
    command = (str(programs / "postern-devcluster"), "serve", *place, *CLUSTER_MODES[mode])
    return ProcessSpec("cluster", command, dict(base), port, code)


def env_values(addresses: Addresses, ports: Mapping[str, int], token: str) -> dict[str, str]:
    """Return what users and their scripts need."""
    return {
        "POSTERN_URL": f"http://127.0.0.1:{ports['gateway']}",
        "POSTERN_TOKEN": token,
        "POSTERN_AMQP_URL": addresses.amqp_url,
        "POSTERN_DATABASE_URL": addresses.database_url,
        "KUBECONFIG": addresses.kubeconfigs["admin"],
    }


def migration_environment(service: str, url: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of ``postern-<service> migrate``: the administrator's URL and nothing of the service."""
    if service not in SERVICES:
        raise ValueError(f"no service {service}")
    return {**base, "POSTERN_DATABASE_URL": url}
