"""What a service is told: its own role and credentials, and nothing of the caller that chooses a target."""

from pathlib import Path

import pytest

from postern_devcluster.stack.home import SERVICES, StackHome
from postern_devcluster.stack.services import (
    Addresses,
    ProcessSpec,
    cluster_spec,
    env_values,
    inherited,
    service_spec,
)
from postern_devcluster.stack.targets import Targets

PORTS = {"gateway": 1, "provisioner": 2, "watcher": 3, "audit": 4, "cluster": 5}
ADDRESSES = Addresses(
    "amqp://u:p@h/",
    "postgresql://admin:secret@h:5/control",
    {user: f"/{user}" for user in ("admin", "provisioner", "watcher")},
)


def spec_of(service: str, home: StackHome, targets: Targets | None = None) -> ProcessSpec:
    return service_spec(
        service,
        home=home,
        programs=Path("/programs"),
        addresses=ADDRESSES,
        targets=targets or Targets(),
        ports=PORTS,
        versions=(15, 16),
        base={"PATH": "/bin"},
    )


@pytest.fixture
def home(tmp_path: Path) -> StackHome:
    return StackHome(tmp_path)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_its_own_role_and_not_the_administrator(home: StackHome, service: str) -> None:
    spec = spec_of(service, home)
    assert spec.command == (f"/programs/postern-{service}", "serve")
    assert f"//control_{service}:" in spec.environment["POSTERN_DATABASE_URL"]
    assert not any("secret" in value for value in spec.environment.values())
    assert spec.environment["POSTERN_HOST"] == "127.0.0.1"
    assert ("POSTERN_BOOTSTRAP_TOKEN" in spec.environment) == (service == "gateway")
    assert ("KUBECONFIG" in spec.environment) == (service in {"provisioner", "watcher"})


def test_provisioner_and_watcher_have_identities_of_their_own(home: StackHome) -> None:
    assert spec_of("provisioner", home).environment["KUBECONFIG"] == "/provisioner"
    assert spec_of("watcher", home).environment["KUBECONFIG"] == "/watcher"


def test_the_ledgers_key_lies_in_the_state_directory(home: StackHome) -> None:
    assert spec_of("audit", home).environment["POSTERN_STATE_DIRECTORY"] == str(home.root / "audit")


def test_the_development_cluster_offers_the_installed_versions_at_addresses_of_its_own(home: StackHome) -> None:
    assert spec_of("gateway", home).environment["POSTERN_POSTGRES_VERSIONS"] == "15,16"
    assert spec_of("gateway", home).environment["POSTERN_STORAGE_CLASSES"] == "standard,fixed"
    assert spec_of("provisioner", home).environment["POSTERN_ADDRESS_MODE"] == "development"


def test_an_own_cluster_offers_all_versions_at_the_addresses_that_were_asked_for(home: StackHome) -> None:
    targets = Targets(kubeconfig="/k", address_mode="cluster-ip")
    assert spec_of("gateway", home, targets).environment["POSTERN_POSTGRES_VERSIONS"] == "14,15,16,17,18"
    assert "POSTERN_STORAGE_CLASSES" not in spec_of("gateway", home, targets).environment
    assert spec_of("provisioner", home, targets).environment["POSTERN_ADDRESS_MODE"] == "cluster-ip"


def test_a_change_of_what_a_service_is_told_changes_its_fingerprint(home: StackHome) -> None:
    own = Targets(kubeconfig="/k", address_mode="cluster-ip")
    assert spec_of("provisioner", home).fingerprint == spec_of("provisioner", home).fingerprint
    assert spec_of("provisioner", home).fingerprint != spec_of("provisioner", home, own).fingerprint


@pytest.mark.parametrize(
    ("mode", "options"), [("processes", []), ("simulated", ["--no-postgres"]), ("api-only", ["--no-operator"])]
)
def test_the_development_cluster_is_told_who_makes_the_databases(
    home: StackHome, mode: str, options: list[str]
) -> None:
    command = cluster_spec(home, Path("/programs"), 5, {}, mode=mode).command
    place = ["/programs/postern-devcluster", "serve", "--state-dir", str(home.cluster), "--port", "5"]
    assert list(command) == place + options


def test_no_target_is_inherited_from_the_callers_environment() -> None:
    told = inherited(
        {
            "PATH": "/bin",
            "KUBECONFIG": "/production",
            "POSTERN_AMQP_URL": "amqp://production",
            "POSTERN_DATABASE_URL": "postgresql://production/d",
            "PGHOST": "production",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        }
    )
    assert told == {"PATH": "/bin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def test_env_holds_what_users_need() -> None:
    assert env_values(ADDRESSES, PORTS, "token") == {
        "POSTERN_URL": "http://127.0.0.1:1",
        "POSTERN_TOKEN": "token",
        "POSTERN_AMQP_URL": "amqp://u:p@h/",
        "POSTERN_DATABASE_URL": "postgresql://admin:secret@h:5/control",
        "KUBECONFIG": "/admin",
    }
