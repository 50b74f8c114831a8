"""One call, checked: who, in which project, with which query, headers and body. What handlers get instead of a
request.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import Request

from postern_common.contracts.identifiers import is_valid_name
from postern_common.errors import Violation
from postern_gateway.domain.access import Principal
from postern_gateway.domain.idempotency import IdempotencyKey, fingerprint, read_key
from postern_gateway.domain.problems import invalid, refuse
from postern_gateway.domain.records import ProjectRecord
from postern_gateway.domain.requests import B, NoBody, parse_body
from postern_gateway.routes.endpoint import Endpoint
from postern_gateway.services.calls import Caller, WriteCall
from postern_gateway.services.reading import PageRequest

if TYPE_CHECKING:
    from postern_gateway.routes.services import Services

MAX_WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose credential and right were checked. ``body`` is read for writes only."""

    request: Request
    endpoint: Endpoint
    services: "Services"
    caller: Caller
    found_project: ProjectRecord | None
    body: bytes = b""

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self.caller.principal

    @property
    def project(self) -> ProjectRecord:
        """The project of the path."""
        if self.found_project is None:
            raise refuse("not_found", "the path names no project")
        return self.found_project

    def name(self) -> str:
        """The database's name in the path. Raises 404 for what cannot be one, before any query."""
        name: str = self.request.path_params["name"]
        if not is_valid_name(name):
            raise refuse("not_found", f"project {self.project.name} has no such database")
        return name

    def id(self) -> UUID:
        """The id in the path. Raises 404 for what is none."""
        try:
            return UUID(self.request.path_params["id"])
        except ValueError as error:
            raise refuse("not_found", "no such resource") from error

    def values(self, name: str) -> list[str]:
        """Every value of a repeatable query parameter."""
        return self.request.query_params.getlist(name)

    def choices(self, name: str, allowed: list[str]) -> list[str]:
        """The same, each one of ``allowed``. Raises 422."""
        values = self.values(name)
        if any(value not in allowed for value in values):
            raise invalid(Violation(name, "invalid_value", f"must be one of {', '.join(allowed)}"))
        return values

    def value(self, name: str) -> str | None:
        """The value of a query parameter that may come once."""
        return self.request.query_params.get(name)

    def flag(self, name: str) -> bool:
        """A boolean query parameter. Raises 422 for anything but true and false."""
        value = self.value(name)
        if value not in (None, "true", "false"):
            raise invalid(Violation(name, "invalid_value", "must be true or false"))
        return value == "true"

    def limit(self) -> int:
        """``limit``, 1-200, default 50. Raises 422."""
        text = self.value("limit")
        if text is None:
            return 50
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 200):
            raise invalid(Violation("limit", "invalid_value", "must be 1 to 200"))
        return int(text)

    def order(self) -> str:
        """``order``: asc or desc, by default desc. Raises 422."""
        self.choices("order", ["asc", "desc"])
        return self.value("order") or "desc"

    def page(self) -> PageRequest:
        """The page that was asked for."""
        return PageRequest(self.limit(), self.value("cursor"), self.order() == "asc")

    def time(self, name: str) -> datetime | None:
        """A time with its offset. Raises 422."""
        text = self.value(name)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text.replace(" ", "+"))
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):  # the second: the first or last day of the calendar, with an offset
            pass
        raise invalid(Violation(name, "invalid_value", "must be an RFC 3339 time with its offset"))

    def parse(self, model: type[B]) -> tuple[B, frozenset[str]]:
        """The body as ``model``, and which members were given. Raises 422."""
        return parse_body(self.body, model)

    def refuse_body(self) -> None:
        """Raises 422 for a body other than ``{}`` where none is taken."""
        if not self.body.strip():
            return
        try:
            parse_body(self.body, NoBody)
        except Exception as error:
            raise invalid(Violation("", "body_not_allowed", "this request takes no body")) from error

    def write(self) -> WriteCall:
        """What the services need to know of a mutation in a project."""
        dry_run = self.flag("dry_run")
        return WriteCall(
            caller=self.caller,
            project=self.project,
            # a dry run changes nothing, so there is nothing to answer twice
            key=None if dry_run else self.idempotency_key(),
            if_match=self.request.headers.get("if-match"),
            dry_run=dry_run,
        )

    def idempotency_key(self) -> IdempotencyKey | None:
        """The client's key with the fingerprint of this request. Raises 400 for a malformed one."""
        header = self.request.headers.get("idempotency-key")
        if header is None:
            return None
        request = self.request
        mark = fingerprint(
            request.method,
            request.scope["path"],
            request.scope["query_string"],
            self.body,
            request.headers.get("if-match"),
        )
        return IdempotencyKey(self.principal.credential, read_key(header), mark)


def preferred_wait(request: Request) -> float:
    """Seconds of ``Prefer: wait=N`` (RFC 7240), 60 at most; 0 without one, or with one that cannot be read."""
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            name, _, value = preference.split(";")[0].partition("=")
            text = value.strip().strip('"')
            if name.strip().lower() == "wait" and text.isascii() and text.isdigit() and len(text) < 6:
                return float(min(int(text), MAX_WAIT_SECONDS))
    return 0.0
