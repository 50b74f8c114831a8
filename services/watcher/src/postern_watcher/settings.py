"""Settings of the watcher: environment variables with the prefix ``POSTERN_``, and ``KUBECONFIG``."""

from pydantic import Field

from postern_common.settings import ServiceSettings


class WatcherSettings(ServiceSettings):
    """What ``serve`` needs."""

    kubeconfig: str | None = Field(default=None, validation_alias="KUBECONFIG")
    """Path of a kubeconfig; without one the pod's service account is used."""
