"""Pages of a project's entries, as events and as the audit view."""

from dataclasses import dataclass
from typing import Any

from postern_audit.domain.entry import API_ACTION
from postern_audit.domain.stream import Filters, audit_record, visible_json
from postern_audit.storage.ledger_reader import LedgerReader, Order
from postern_common.errors import ClientError, Violation


@dataclass(frozen=True, slots=True)
class EventPage:
    """Items as JSON. ``next_cursor`` is the value for ``after``; None at the end of a descending list."""

    items: tuple[bytes, ...]
    next_cursor: int | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """API actions; ``next_cursor`` is None on the last page."""

    items: tuple[dict[str, Any], ...]
    next_cursor: int | None


class PagingService:
    """Answers pages. A project without entries, or one that is not known, has empty ones."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    async def events(
        self, project: str, filters: Filters, *, after: int | None, order: Order, limit: int, reduced: bool
    ) -> EventPage:
        """One page. Ascending, the cursor always says where to go on, also when nothing is there yet: a filtered page
        that is not full goes on after everything that was looked at.

        Raises ``ClientError`` 422 for a start that was never given out: going on from there would skip what comes
        next. The stream answers the same with a reset.
        """
        newest = (await self._reader.bounds(project)).newest
        if order == "asc" and after is not None and after > newest:
            violation = Violation("after", "unknown_position", "later than the newest entry of this project")
            raise ClientError(422, "validation_failed", "The request has invalid values.", errors=[violation])
        entries = await self._reader.page(project, filters, after=after, order=order, limit=limit, until=newest)
        items = tuple(visible_json(entry, reduced=reduced) for entry in entries)
        last = entries[-1].sequence if len(entries) == limit else None
        if order == "asc":
            last = newest if last is None else last
        return EventPage(items, last)

    async def audit(self, project: str, *, after: int | None, order: Order, limit: int) -> AuditPage:
        """One page of the project's API actions (semantics 32)."""
        filters = Filters(types=frozenset({API_ACTION}))
        entries = await self._reader.page(project, filters, after=after, order=order, limit=limit + 1)
        shown = entries[:limit]
        more = len(entries) > limit
        return AuditPage(tuple(audit_record(entry) for entry in shown), shown[-1].sequence if more else None)
