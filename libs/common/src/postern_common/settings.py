"""Settings that every service shares; each service adds its own in a subclass. Read once, at the composition root.

Separate because the environment is input from outside: it is validated like any other, and a fault is told in words
that name the variable and never show its value.
"""

import sys
from typing import Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_TOKEN_KEY_BYTES = 32


class DatabaseSettings(BaseSettings):
    """What a process needs that only speaks to the database: ``migrate`` and ``postern-database``."""

    model_config = SettingsConfigDict(
        env_prefix="POSTERN_", frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True
    )

    database_url: SecretStr
    """``postgresql://user:password@host:port/database``; libpq's parameters such as ``sslmode`` work."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a postgresql:// URL")
        return url


class ServiceSettings(DatabaseSettings):
    """What every service needs to serve."""

    amqp_url: SecretStr
    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    """Port of the service's own HTTP server: the API of the gateway, the internal API and health of the others."""
    service_token_key: SecretStr
    """HS256 key of the internal tokens, at least 32 bytes."""

    @field_validator("amqp_url")
    @classmethod
    def _is_amqp(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("amqp://", "amqps://")):
            raise ValueError("must be an amqp:// or amqps:// URL")
        return url

    @field_validator("service_token_key")
    @classmethod
    def _is_long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < MIN_TOKEN_KEY_BYTES:
            raise ValueError(f"must be at least {MIN_TOKEN_KEY_BYTES} bytes long")
        return key

    @classmethod
    def load(cls) -> Self:
        """Read the environment like ``load_settings``."""
        return load_settings(cls)


S = TypeVar("S", bound=BaseSettings)


def load_settings(settings: type[S]) -> S:
    """Read the environment, or say on stderr which variable is missing or wrong and end the process with status 2."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        for fault in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in fault["loc"])
            variable = name if name.isupper() else f"{prefix}{name}".upper()
            sys.stderr.write(f"{variable}: {fault['msg']}\n")
        raise SystemExit(2) from None
