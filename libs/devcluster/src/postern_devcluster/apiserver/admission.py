"""What the operator's webhooks do to a Cluster: fill in its defaults, refuse what it cannot run.

Separate from structural validation: with the annotation ``cnpg.io/validation=disabled`` the refusals are off, the
structure is still checked. The rules are those seen on CloudNativePG 1.30, in our own words.
"""

from typing import Any

from postern_devcluster.apiserver.kinds import CLUSTERS
from postern_devcluster.apiserver.status import Object, cause, invalid
from postern_devcluster.apiserver.validation import is_quantity, quantity

WEBHOOK = "vcluster.cnpg.io"
_LONGEST_NAME = 50
_VALIDATION = "cnpg.io/validation"
_DEFAULT_IMAGE = "ghcr.io/cloudnative-pg/postgresql:18.1-system-trixie"

FIXED_PARAMETERS = frozenset(
    {
        "allow_alter_system",
        "allow_system_table_mods",
        "archive_cleanup_command",
        "archive_command",
        "bonjour",
        "bonjour_name",
        "cluster_name",
        "config_file",
        "data_directory",
        "data_sync_retry",
        "edb_audit",
        "event_source",
        "external_pid_file",
        "hba_file",
        "hot_standby",
        "ident_file",
        "jit_provider",
        "listen_addresses",
        "log_destination",
        "log_directory",
        "log_file_mode",
        "log_filename",
        "log_rotation_age",
        "log_rotation_size",
        "log_truncate_on_rotation",
        "logging_collector",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "promote_trigger_file",
        "recovery_end_command",
        "recovery_min_apply_delay",
        "recovery_target",
        "recovery_target_action",
        "recovery_target_inclusive",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_timeline",
        "recovery_target_xid",
        "restart_after_crash",
        "restore_command",
        "shared_preload_libraries",
        "ssl",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_ciphers",
        "ssl_crl_dir",
        "ssl_crl_file",
        "ssl_dh_params_file",
        "ssl_ecdh_curve",
        "ssl_key_file",
        "ssl_passphrase_command",
        "ssl_passphrase_command_supports_reload",
        "ssl_prefer_server_ciphers",
        "stats_temp_directory",
        "synchronous_standby_names",
        "syslog_facility",
        "syslog_ident",
        "syslog_sequence_numbers",
        "syslog_split_messages",
        "unix_socket_directories",
        "unix_socket_group",
        "unix_socket_permissions",
    }
)
"""Parameters that the operator sets itself. Those of them that it also writes as defaults pass when unchanged."""

_DEFAULT_PARAMETERS = {
    "archive_mode": "on",
    "archive_timeout": "5min",
    "dynamic_shared_memory_type": "posix",
    "full_page_writes": "on",
    "log_destination": "csvlog",
    "log_directory": "/controller/log",
    "log_filename": "postgres",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "false",
    "logging_collector": "on",
    "max_parallel_workers": "32",
    "max_replication_slots": "32",
    "max_worker_processes": "32",
    "shared_memory_type": "mmap",
    "shared_preload_libraries": "",
    "ssl_max_protocol_version": "TLSv1.3",
    "ssl_min_protocol_version": "TLSv1.3",
    "wal_keep_size": "512MB",
    "wal_level": "logical",
    "wal_log_hints": "on",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
}


def default_cluster(body: Object) -> Object:
    """The Cluster with the defaults that the mutating webhook fills in. Filling in twice changes nothing."""
    spec: Object = dict(body.get("spec") or {})
    if "imageName" not in spec and "imageCatalogRef" not in spec:
        spec["imageName"] = _DEFAULT_IMAGE
    spec["affinity"] = {"podAntiAffinityType": "preferred", **spec.get("affinity", {})}
    postgresql = dict(spec.get("postgresql", {}))
    postgresql["parameters"] = {**_DEFAULT_PARAMETERS, **postgresql.get("parameters", {})}
    postgresql.setdefault("syncReplicaElectionConstraint", {"enabled": False})
    spec["postgresql"] = postgresql
    spec["bootstrap"] = _default_bootstrap(spec.get("bootstrap", {}))
    spec.setdefault("monitoring", {"disableDefaultQueries": False, "enablePodMonitor": False})
    spec.setdefault(
        "replicationSlots",
        {
            "highAvailability": {"enabled": True, "slotPrefix": "_cnpg_"},
            "synchronizeReplicas": {"enabled": True},
            "updateInterval": 30,
        },
    )
    spec.setdefault("resources", {})
    return {**body, "spec": spec}


def _default_bootstrap(bootstrap: Object) -> Object:
    if "recovery" in bootstrap or "pg_basebackup" in bootstrap:
        return bootstrap
    initdb = dict(bootstrap.get("initdb", {}))
    initdb.setdefault("database", "app")
    initdb.setdefault("owner", initdb["database"])
    initdb.setdefault("encoding", "UTF8")
    if "locale" not in initdb:
        initdb.setdefault("localeCollate", "C")
        initdb.setdefault("localeCType", "C")
    return {**bootstrap, "initdb": initdb}


def refuse_cluster(body: Object, before: Object | None) -> None:
    """Raise 422 for a Cluster that the validating webhook denies; ``before`` is the stored one of an update."""
    metadata = body["metadata"]
    if metadata.get("annotations", {}).get(_VALIDATION) == "disabled":
        return
    spec = body["spec"]
    causes = [
        *_name_causes(metadata["name"]),
        *_storage_causes(spec.get("storage"), "spec.storage", required=True),
        *_storage_causes(spec.get("walStorage"), "spec.walStorage", required=False),
        *_image_causes(spec),
        *_parameter_causes(spec["postgresql"]["parameters"], spec["instances"]),
        *_resource_causes(spec.get("resources", {})),
    ]
    if before is not None:
        causes += _shrink_causes(before["spec"], spec)
        causes += _update_method_causes(before["spec"], spec)
    if causes:
        raise invalid(CLUSTERS, metadata["name"], causes, webhook=WEBHOOK)


def _wrong(field: str, value: Any, why: str) -> Object:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def _name_causes(name: str) -> list[Object]:
    if len(name) > _LONGEST_NAME:
        return [_wrong("metadata.name", name, f"a cluster's name has at most {_LONGEST_NAME} characters")]
    if "." in name:
        return [_wrong("metadata.name", name, "a cluster's name must be a DNS label: it cannot contain dots")]
    return []


def _storage_causes(storage: Object | None, field: str, *, required: bool) -> list[Object]:
    if storage is None:
        return [_wrong(f"{field}.size", "", "a size must be given")] if required else []
    size = storage.get("size", "")
    if not size:
        template = storage.get("pvcTemplate", {}).get("resources", {}).get("requests", {})
        return [] if "storage" in template else [_wrong(f"{field}.size", size, "a size must be given")]
    if not is_quantity(size):
        return [_wrong(f"{field}.size", size, "the size is not a valid quantity")]
    return []


def _image_causes(spec: Object) -> list[Object]:
    image = spec.get("imageName")
    if image is None:
        return []
    if "imageCatalogRef" in spec:
        return [_wrong("spec", "object", "imageName and imageCatalogRef exclude each other")]
    if "@sha256:" in image:
        return []
    tag = image.rpartition("/")[2].partition(":")[2]
    if tag == "latest":
        return [_wrong("spec.imageName", image, "the tag latest cannot be used: it does not tell the version")]
    if not tag[:1].isdigit():
        return [_wrong("spec.imageName", image, "the image's tag does not begin with a PostgreSQL version")]
    return []


def _parameter_causes(parameters: Object, instances: int) -> list[Object]:
    causes = [
        _wrong(
            f"spec.postgresql.parameters.{name}", value, "this parameter is set by the operator and cannot be changed"
        )
        for name, value in parameters.items()
        if name in FIXED_PARAMETERS and _DEFAULT_PARAMETERS.get(name) != value
    ]
    if parameters.get("wal_level") == "minimal" and instances > 1:
        causes.append(
            _wrong("spec.postgresql.parameters.wal_level", "minimal", "replicas need wal_level replica or logical")
        )
    return causes


def _resource_causes(resources: Object) -> list[Object]:
    causes = []
    limits = resources.get("limits", {})
    for name, asked in resources.get("requests", {}).items():
        limit = limits.get(name)
        if limit is not None and _number(asked) > _number(limit):
            causes.append(
                _wrong(f"spec.resources.requests.{name}", asked, f"the request is greater than the limit {limit}")
            )
    return causes


def _shrink_causes(before: Object, after: Object) -> list[Object]:
    causes = []
    for part in ("storage", "walStorage"):
        old = (before.get(part) or {}).get("size")
        new = (after.get(part) or {}).get("size")
        if old and new and _number(new) < _number(old):
            causes.append(_wrong(f"spec.{part}.size", new, f"storage cannot shrink: the current size is {old}"))
    return causes


def _update_method_causes(before: Object, after: Object) -> list[Object]:
    if after.get("primaryUpdateMethod") != "switchover" or before.get("imageName") == after.get("imageName"):
        return []
    if before.get("postgresql", {}).get("parameters") == after.get("postgresql", {}).get("parameters"):
        return []
    return [
        _wrong(
            "spec.imageName",
            after.get("imageName", ""),
            "image and parameters cannot change together when primaryUpdateMethod is switchover",
        )
    ]


def _number(value: Any) -> float:
    return quantity(value) if is_quantity(str(value)) else 0.0
