"""What a standby may not run with less of than its primary had at the WAL it replays, as its control file says. Pure.

PostgreSQL refuses hot standby below those values. CloudNativePG therefore starts a standby with the larger of the
configured value and that of pg_controldata, and restarts it once it has replayed the primary's lower one.
"""

from collections.abc import Mapping

_CONTROL_NAMES = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
_SERVER_DEFAULTS = {
    "max_connections": 100,
    "max_worker_processes": 8,
    "max_wal_senders": 10,
    "max_prepared_transactions": 0,
    "max_locks_per_transaction": 64,
}


def read_control_data(text: str) -> dict[str, int]:
    """Return the standby-sensitive parameters that pg_controldata printed, by their names in postgresql.conf."""
    lines = (line.partition(":") for line in text.splitlines())
    found = ((_CONTROL_NAMES.get(name.strip()), value.strip()) for name, _, value in lines)
    return {name: int(value) for name, value in found if name is not None and value.isdigit()}


def held_parameters(configured: Mapping[str, str], control: Mapping[str, int]) -> dict[str, str]:
    """Return the parameters that a standby must keep higher than configured; empty once it has caught up.

    A configured value that is no number is left as it is: PostgreSQL itself says what is wrong with it.
    """
    held = {}
    for name, needed in control.items():
        asked = _number(configured.get(name), _SERVER_DEFAULTS[name])
        if asked is not None and asked < needed:
            held[name] = str(needed)
    return held


def _number(text: str | None, default: int) -> int | None:
    try:
        return default if text is None else int(text, 0)
    except ValueError:
        return None
