"""Renders postgresql.conf and pg_hba.conf from what a Cluster asks for and where it runs. Pure text in and out.

Defaults are small so that many clusters fit on a laptop; what a Cluster asks for wins, except what the operator owns.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

REPLICATION_ROLE = "streaming_replica"

DEFAULTS: Mapping[str, str] = {
    "max_connections": "100",
    "shared_buffers": "16MB",
    "max_worker_processes": "8",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "64MB",
    "max_slot_wal_keep_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "jit": "off",
    # Rows survive the end of any process; a machine that loses power may lose the development cluster with it.
    "fsync": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

OWNED: Mapping[str, str] = {
    "port": "5432",
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_log_hints": "on",
    "ssl": "on",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
    "huge_pages": "off",
    "wal_retrieve_retry_interval": "200ms",
    "log_destination": "stderr",
    "logging_collector": "off",
    "archive_mode": "off",
}
"""What the operator sets whatever a Cluster says: what CloudNativePG keeps for itself, and what this machine needs."""

_IGNORED = frozenset(
    {
        "archive_command", "archive_cleanup_command", "restore_command", "listen_addresses", "unix_socket_directories",
        "ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file", "hba_file", "ident_file", "data_directory",
        "config_file", "external_pid_file", "primary_conninfo", "primary_slot_name", "cluster_name", "log_directory",
        "log_filename", "log_file_mode", "log_rotation_age", "log_rotation_size", "log_truncate_on_rotation",
        "dynamic_shared_memory_type", "shared_memory_type", "synchronous_standby_names", "recovery_target",
        "recovery_target_timeline", "promote_trigger_file", "allow_alter_system",
    }
)  # fmt: skip

STANDBY_SENSITIVE = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""A standby refuses to run with less of these than its primary has: the primary goes first when one shrinks."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a standby streams from; ``passfile`` holds the replication password, ``root_certificate`` the CA."""

    host: str
    port: int
    passfile: str
    root_certificate: str
    slot: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one instance runs: its address, its private socket directory and its certificate files."""

    name: str
    listen_address: str
    socket_directory: str
    certificate_file: str
    key_file: str
    ca_file: str


def effective_parameters(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that all instances share: defaults, then the Cluster's, then the operator's own."""
    asked = {name: value for name, value in parameters.items() if name not in _IGNORED and name not in OWNED}
    return {**DEFAULTS, **asked, **OWNED}


def settings_hash(parameters: Mapping[str, str], hba: Sequence[str]) -> str:
    """Return a short hash that moves exactly when configuration files must be written again."""
    text = repr(sorted(effective_parameters(parameters).items())) + repr(list(hba))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render_configuration(parameters: Mapping[str, str], placement: Placement, upstream: Upstream | None) -> str:
    """Return postgresql.conf of one instance; ``upstream`` is None for a primary."""
    settings = effective_parameters(parameters)
    settings |= {
        "listen_addresses": placement.listen_address,
        "unix_socket_directories": placement.socket_directory,
        "cluster_name": placement.name,
        "ssl_cert_file": placement.certificate_file,
        "ssl_key_file": placement.key_file,
        "ssl_ca_file": placement.ca_file,
    }
    if upstream is not None:
        settings |= {
            "primary_conninfo": connection_string(upstream, placement.name),
            "primary_slot_name": upstream.slot,
        }
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in sorted(settings.items()))


def connection_string(upstream: Upstream, application: str) -> str:
    """Return the libpq connection string of a standby; the password stays in the passfile."""
    return (
        f"host={upstream.host} port={upstream.port} user={REPLICATION_ROLE} dbname=postgres"
        f" application_name={application} passfile={upstream.passfile} sslmode=verify-ca"
        f" sslrootcert={upstream.root_certificate} connect_timeout=5"
    )


def render_access_rules(rules: Sequence[str]) -> str:
    """Return pg_hba.conf: the operator on its private socket, replication, the Cluster's lines, everyone by password.

    CloudNativePG appends the same catch-all, which is why an allow-list ends with ``host all all all reject``.
    """
    lines = [
        "local all postgres trust",
        "local all all reject",
        f"hostssl replication {REPLICATION_ROLE} all scram-sha-256",
        f"hostssl postgres {REPLICATION_ROLE} all scram-sha-256",
        f"host all {REPLICATION_ROLE} all reject",
        "host all postgres all reject",
        *rules,
        "host all all all scram-sha-256",
    ]
    return "\n".join(lines) + "\n"


def slot_name(instance: str) -> str:
    """Return the replication slot of an instance, named as CloudNativePG does: ``_cnpg_`` and the name's safe form."""
    return "_cnpg_" + "".join(c if c.isalnum() and c.isascii() else "_" for c in instance.lower())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''").replace("\n", " ") + "'"
