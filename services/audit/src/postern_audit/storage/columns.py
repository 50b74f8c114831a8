"""The ledger's columns, once: what the writer inserts is what readers select and the verifier walks."""

from collections.abc import Sequence
from typing import Any, Final

from postern_audit.domain.entry import Entry

COLUMNS: Final = (
    ("position", "bigint"), ("sequence", "bigint"), ("project", "text"), ("project_id", "uuid"), ("source", "text"),
    ("id", "uuid"), ("type", "text"), ("subject", "text"), ("time", "text"), ("operation_id", "uuid"),
    ("trace_id", "text"), ("actor", "text"), ("data", "text"), ("dataschema", "text"), ("causation_id", "uuid"),
    ("traceparent", "text"), ("tracestate", "text"), ("source_shard", "smallint"), ("source_sequence", "bigint"),
    ("previous_hash", "bytea"), ("hash", "bytea"),
)  # fmt: skip
NAMES: Final = tuple(name for name, _ in COLUMNS)
SELECT_ENTRIES: Final = f"SELECT {', '.join(NAMES)} FROM audit.ledger"  # noqa: S608 - constants


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry from a row of ``SELECT_ENTRIES``."""
    return Entry(**dict(zip(NAMES, row, strict=True)))
