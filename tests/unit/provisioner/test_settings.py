"""Settings: what a wrong environment says, and what an absent one means."""

from typing import Any

import pytest
from pydantic import ValidationError

from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.settings import ProvisionerSettings

REQUIRED = {
    "POSTERN_DATABASE_URL": "postgresql://u:p@localhost/d",
    "POSTERN_AMQP_URL": "amqp://u:p@localhost/",
    "POSTERN_PORT": "8001",
    "POSTERN_SERVICE_TOKEN_KEY": "k" * 32,
}


def load(monkeypatch: pytest.MonkeyPatch, **more: str) -> ProvisionerSettings:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for name, value in {**REQUIRED, **more}.items():
        monkeypatch.setenv(name, value)
    return ProvisionerSettings()


def test_without_a_kubeconfig_the_pods_account_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)

    assert settings.kubeconfig is None
    assert settings.namespace_prefix == "postern-"
    assert settings.address_mode is AddressMode.SERVICE_DNS
    assert settings.images.default(17) == "ghcr.io/cloudnative-pg/postgresql:17"


def test_everything_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        KUBECONFIG="/tmp/config",
        POSTERN_NAMESPACE_PREFIX="db-",
        POSTERN_ADDRESS_MODE="development",
        POSTERN_IMAGE_REPOSITORY="registry.example.org/postgresql",
        POSTERN_IMAGE_TAGS="17=17.5",
    )

    assert (settings.kubeconfig, settings.namespace_prefix) == ("/tmp/config", "db-")
    assert settings.images.default(17) == "registry.example.org/postgresql:17.5"


@pytest.mark.parametrize(
    "wrong",
    [
        {"POSTERN_ADDRESS_MODE": "carrier-pigeon"},
        {"POSTERN_IMAGE_TAGS": "17=latest"},
        {"POSTERN_NAMESPACE_PREFIX": "Not A Name"},
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        load(monkeypatch, **wrong)
