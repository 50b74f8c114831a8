"""Identifiers and the names derived from them (semantics 1-2)."""

import re
from uuid import UUID

import uuid_utils.compat

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""RFC 1035 label, the form Kubernetes asks of Service names. Use with ``fullmatch``."""

NAME_MAX_LENGTH = 40
"""Longest project or database name: with a hyphen and six hex digits it stays within CloudNativePG's 50."""


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): sortable by creation time, unguessable in its last 74 bits."""
    return uuid_utils.compat.uuid7()


def is_valid_name(name: str) -> bool:
    """Whether ``name`` may name a project or a database."""
    return len(name) <= NAME_MAX_LENGTH and DNS_LABEL.fullmatch(name) is not None


def cluster_name(database: str, database_id: UUID) -> str:
    """Name of the database's Kubernetes objects.

    Ends in the id's last six hex digits, its random part: the leading bits of a UUIDv7 stay the same for hours, so only
    the tail keeps a late delete from hitting a database created again under the same name.
    """
    return f"{database}-{database_id.hex[-6:]}"


def namespace_name(prefix: str, project: str) -> str:
    """Kubernetes namespace of a project; ``prefix`` is a setting, by default ``postern-``."""
    return f"{prefix}{project}"
