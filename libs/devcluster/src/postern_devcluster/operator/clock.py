"""Times as Kubernetes writes them."""

from datetime import UTC, datetime


def now_seconds() -> str:
    """Return now as RFC 3339 in whole seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micros() -> str:
    """Return now as RFC 3339 with microseconds, UTC: what CloudNativePG's own timestamps look like."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
