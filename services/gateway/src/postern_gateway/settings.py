"""Settings of the gateway: the shared ones and its own, all from ``POSTERN_*``."""

from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import NoDecode

from postern_common.settings import ServiceSettings

MIN_TOKEN_LENGTH = 24

Numbers = Annotated[tuple[int, ...], NoDecode]
Words = Annotated[tuple[str, ...], NoDecode]


class GatewaySettings(ServiceSettings):
    """What the gateway needs beside the shared settings."""

    bootstrap_token: SecretStr
    """The platform administrator's bearer token, at least 24 characters."""
    provisioner_url: HttpUrl
    audit_url: HttpUrl
    postgres_versions: Numbers = (14, 15, 16, 17, 18)
    """Majors that the cluster can run, comma-separated; the highest is the default of new databases."""
    storage_classes: Words = ()
    """Storage classes on offer, comma-separated; empty: any name is taken."""
    docs: bool = True
    """Serve the reference at ``/docs``."""
    pool_size: int = Field(default=10, ge=2, le=100)

    @field_validator("postgres_versions", mode="before")
    @classmethod
    def _split_numbers(cls, value: object) -> object:
        return _split(value)

    @field_validator("storage_classes", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return _split(value)

    @field_validator("bootstrap_token")
    @classmethod
    def _is_token_long_enough(cls, token: SecretStr) -> SecretStr:
        if len(token.get_secret_value()) < MIN_TOKEN_LENGTH:
            raise ValueError(f"must be at least {MIN_TOKEN_LENGTH} characters long")
        return token


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
