"""What must hold of the events that a project's ledger shows, whatever happened on the way (I3, I4)."""

from collections import Counter
from itertools import pairwise
from typing import Any

Json = dict[str, Any]
STATE = "dev.postern.database.state_changed.v1"
OBSERVED = "dev.postern.database.observed.v1"


def assert_ledger_is_whole(events: list[Json]) -> None:
    """Sequences are contiguous, no (source, id) stands twice, and every database's revisions chain."""
    sequences = [int(event["sequence"]) for event in events]
    assert sequences == list(range(1, len(events) + 1)), sequences
    twice = [key for key, count in Counter((e["source"], e["id"]) for e in events).items() if count > 1]
    assert not twice, twice
    for subject in {e["subject"] for e in events}:
        assert_revisions_chain([e for e in events if e["subject"] == subject and e["type"] in (STATE, OBSERVED)])


def assert_revisions_chain(observations: list[Json]) -> None:
    """Revisions count up by one from 1, and each transition starts where the last one ended."""
    revisions = [event["data"]["revision"] for event in observations]
    assert revisions == list(range(1, len(revisions) + 1)), revisions
    for before, after in pairwise(observations):
        assert after["data"]["from"] == before["data"]["to"], (before["data"], after["data"])


def states(events: list[Json], database_id: str) -> list[str]:
    """States that a database went through, in order."""
    return [event["data"]["to"] for event in events if event["type"] == STATE and event["subject"] == database_id]


def of_type(events: list[Json], short: str, database_id: str) -> list[Json]:
    """The database's events of ``dev.postern.<short>.v1``."""
    return [e for e in events if e["type"] == f"dev.postern.{short}.v1" and e["subject"] == database_id]
