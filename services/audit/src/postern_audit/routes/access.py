"""Who may call, and the parameters that all routes share."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Header, Query

from postern_audit.domain.stream import Filters
from postern_common.errors import ClientError, Violation
from postern_common.http import bearer_token, verify_service_token

AUDIENCE: Final = "audit"
MAX_SEQUENCE: Final = 2**63 - 1


def require_service(key: str) -> Callable[..., Awaitable[None]]:
    """A dependency that lets only callers with a service token for this audience in (``ClientError`` 401)."""

    async def check(authorization: Annotated[str | None, Header()] = None) -> None:
        verify_service_token(key, bearer_token(authorization), audience=AUDIENCE)

    return check


Types = Annotated[list[str], Query(alias="type", max_length=50, description="Full event types; repeatable")]
Databases = Annotated[list[str], Query(alias="database", max_length=200, description="Database ids; repeatable")]
Limit = Annotated[int, Query(ge=1, le=200)]


def filters_of(types: list[str], databases: list[str]) -> Filters:
    """Filters from query parameters. Raises ``ClientError`` 422 for text that no column can hold."""
    for name, values in (("type", types), ("database", databases)):
        if any("\x00" in value for value in values):
            violation = Violation(name, "invalid", "holds NUL")
            raise ClientError(422, "validation_failed", "The request has invalid values.", errors=[violation])
    return Filters(frozenset(types), frozenset(databases))
