"""A route as data: from one description come its registration, its checks of the request and its OpenAPI entry."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from postern_gateway.domain.requests import Body
from postern_gateway.services.calls import Answer

if TYPE_CHECKING:
    from postern_gateway.routes.call import Call

Handler = Callable[["Call"], Awaitable[Answer | Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter. Any other is refused: a mistyped ``dry_run`` must not become a write."""

    name: str
    description: str
    schema: dict[str, Any]
    repeated: bool = False


LIMIT = Parameter("limit", "Most items of the page", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50})
CURSOR = Parameter("cursor", "`next_cursor` of the page before", {"type": "string"})
ORDER = Parameter("order", "Newest first (`desc`) or oldest first", {"enum": ["asc", "desc"], "default": "desc"})
PAGE = (LIMIT, CURSOR, ORDER)
DRY_RUN = Parameter(
    "dry_run", "Validate and answer with the impact; change nothing", {"type": "boolean", "default": False}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer for the document: what it means, its body's type (a list's item where ``page``), an example."""

    description: str
    model: type | None = None
    page: bool = False
    example: Any = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. ``headers`` are the request headers that govern it, beside the credential."""

    method: str
    path: str
    handler: Handler
    tag: str
    summary: str
    description: str = ""
    query: tuple[Parameter, ...] = ()
    headers: tuple[str, ...] = ()
    body: type[Body] | None = None
    body_example: Any = None
    media_types: tuple[str, ...] = ("application/json",)
    replies: dict[int, Reply] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def is_write(self) -> bool:
        """Whether it changes something: its refusals are recorded, its body is read."""
        return self.method in ("POST", "PATCH", "DELETE")
