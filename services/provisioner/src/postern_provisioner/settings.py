"""Settings of the provisioner, read from the environment once (prefix ``POSTERN_``; ``KUBECONFIG`` as everywhere)."""

from pydantic import Field, field_validator

from postern_common.settings import ServiceSettings
from postern_provisioner.domain.addresses import AddressMode
from postern_provisioner.domain.images import DEFAULT_REPOSITORY, ImageChoice, parse_tags


class ProvisionerSettings(ServiceSettings):
    """What ``postern-provisioner serve`` needs."""

    kubeconfig: str | None = Field(default=None, validation_alias="KUBECONFIG")
    """Path, or several with ``:``; absent: the pod's service account."""
    namespace_prefix: str = Field(default="postern-", pattern=r"^[a-z]([-a-z0-9]*)?$", max_length=20)
    address_mode: AddressMode = AddressMode.SERVICE_DNS
    image_repository: str = DEFAULT_REPOSITORY
    image_tags: str = ""
    """``16=16.9-standard-bookworm,17=17.5``: the tag that new clusters of a major get; without, the major itself."""
    operator_namespace: str = "cnpg-system"
    """Where CloudNativePG's operator runs: it alone may reach the instances' status port."""

    @field_validator("kubeconfig")
    @classmethod
    def _empty_is_absent(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("image_tags")
    @classmethod
    def _are_tags(cls, value: str) -> str:
        parse_tags(value)
        return value

    @property
    def images(self) -> ImageChoice:
        """Which image a new cluster of a major gets."""
        return ImageChoice(self.image_repository, parse_tags(self.image_tags))
