"""Driver errors translated into ours: what to do about them is then known by class, not by SQLSTATE."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from postern_common.errors import DependencyDownError, PosternError, TransientError

_DOWN_CLASSES: Final = ("08", "53", "58")
"""SQLSTATE classes: connection exception, insufficient resources (disk full, too many connections), system error."""
_DOWN: Final = frozenset({"57P01", "57P02", "57P03", "25006", "57P05", "25P03"})
"""Shutdown, crash, cannot connect now, read-only (a demoted primary), idle session and idle-in-transaction timeouts."""
_AGAIN: Final = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, lock not available, statement timeout."""


def translate(error: BaseException) -> PosternError | None:
    """Our error for a driver's, or None when it is a fault of the statement and must be seen as it is."""
    if isinstance(error, PosternError):
        return None
    if isinstance(error, TimeoutError | OSError | PoolTimeoutError):
        return _down(type(error).__name__)
    if isinstance(error, DBAPIError):
        state = _sqlstate(error)
        if state in _AGAIN:
            return TransientError("database_contended", f"the database asked to try again (SQLSTATE {state})")
        if error.connection_invalidated or state in _DOWN or state[:2] in _DOWN_CLASSES:
            return _down(f"SQLSTATE {state}" if state else "connection lost")
        if isinstance(error, InterfaceError) or not state:
            return _down("connection lost")
    return None


def _down(why: str) -> DependencyDownError:
    return DependencyDownError("database_unavailable", f"the database does not answer ({why})", retry_after=1.0)


def _sqlstate(error: DBAPIError) -> str:
    for candidate in (error.orig, getattr(error.orig, "__cause__", None)):
        state = getattr(candidate, "sqlstate", None) or getattr(candidate, "pgcode", None)
        if isinstance(state, str):
            return state
    return ""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Inside, errors of the driver become ``DependencyDownError`` or ``TransientError``; others pass as they are."""
    try:
        yield
    except (SQLAlchemyError, TimeoutError, OSError) as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
