"""Examples of the document: one database called ``orders`` in project ``acme``."""

from typing import Any, Final

_ID: Final = "01976b2e-5f0a-7c3d-9e21-4b7a6c5d8e9f"
_OPERATION_ID: Final = "01976b2e-5f0b-7a10-8c44-1f2e3d4c5b6a"
_AT: Final = "2026-01-15T09:30:00.120000Z"

PROJECT: Final[dict[str, Any]] = {
    "id": "01976b2d-11aa-7bcd-8def-0123456789ab",
    "name": "acme",
    "created_at": _AT,
    "created_by": "administrator:bootstrap",
}
OPERATION: Final[dict[str, Any]] = {
    "id": _OPERATION_ID,
    "type": "create",
    "project": "acme",
    "database": "orders",
    "database_id": _ID,
    "generation": 1,
    "status": "running",
    "phases": [
        {"name": "accepted", "at": _AT},
        {"name": "published", "at": "2026-01-15T09:30:00.131000Z"},
        {"name": "received", "at": "2026-01-15T09:30:00.138000Z"},
        {"name": "applied", "at": "2026-01-15T09:30:00.170000Z"},
    ],
    "progress": 40,
    "error": None,
    "deadline": "2026-01-15T09:45:00.120000Z",
    "created_by": "api_key:ci",
    "created_at": _AT,
    "finished_at": None,
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
DATABASE: Final[dict[str, Any]] = {
    "id": _ID,
    "project": "acme",
    "name": "orders",
    "plan": "standard-2",
    "version": 18,
    "instances": 2,
    "cpu": "2",
    "memory": "4Gi",
    "storage": "20Gi",
    "storage_class": None,
    "parameters": {"shared_buffers": "512MB", "max_connections": "200"},
    "allowed_cidrs": None,
    "labels": {},
    "deletion_protection": True,
    "hibernated": False,
    "generation": 1,
    "observed_generation": 0,
    "state": "provisioning",
    "state_reason": "creating",
    "state_message": "Setting up primary",
    "state_since": "2026-01-15T09:30:00.300000Z",
    "observed": {
        "instances": 1,
        "ready_instances": 0,
        "primary": None,
        "version": None,
        "storage": None,
        "image": None,
    },
    "operation": OPERATION,
    "created_at": _AT,
    "updated_at": "2026-01-15T09:30:00.300000Z",
    "created_by": "api_key:ci",
}
DRY_RUN: Final[dict[str, Any]] = {
    "dry_run": True,
    "impact": {
        "restarts": True,
        "downtime": "seconds",
        "failover": False,
        "storage_change": {"from": "20Gi", "to": "40Gi"},
        "quota_after": {
            "databases": 3,
            "instances": 6,
            "cpu_millis": 12000,
            "memory_bytes": 25769803776,
            "storage_bytes": 171798691840,
        },
        "rejected": [],
    },
    "changes": {"storage": ["20Gi", "40Gi"], "plan": ["standard-2", "standard-4"]},
}
CONNECTION: Final[dict[str, Any]] = {
    "endpoints": [
        {"role": "primary", "scope": "cluster", "host": "orders-5d8e9f-rw.postern-acme.svc", "port": 5432},
        {"role": "replicas", "scope": "cluster", "host": "orders-5d8e9f-ro.postern-acme.svc", "port": 5432},
    ],
    "dbname": "app",
    "sslmode": "require",
    "ca_certificate": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
}
CREDENTIALS: Final[dict[str, Any]] = {
    "username": "app",
    "password": "(not shown)",
    "dbname": "app",
    "host": "orders-5d8e9f-rw.postern-acme.svc",
    "port": 5432,
    "uri": "postgresql://app:(not shown)@orders-5d8e9f-rw.postern-acme.svc:5432/app?sslmode=require",
    "jdbc_uri": "jdbc:postgresql://orders-5d8e9f-rw.postern-acme.svc:5432/app?user=app&password=…&sslmode=require",
}
IDENTITY: Final[dict[str, Any]] = {
    "kind": "api_key",
    "name": "ci",
    "credential_id": "01976b2f-0000-7000-8000-00000000c1c1",
    "project": "acme",
    "role": "editor",
    "permissions": ["credentials:read"],
    "expires_at": None,
}
API_KEY: Final[dict[str, Any]] = {
    "id": "01976b2f-0000-7000-8000-00000000c1c1",
    "name": "ci",
    "role": "editor",
    "permissions": ["credentials:read"],
    "created_at": _AT,
    "created_by": "administrator:bootstrap",
    "expires_at": None,
    "key": "pst_01976b2f000070008000000000000c1c1_(43 characters, shown once)",
}
EVENTS: Final[dict[str, Any]] = {
    "items": [
        {
            "specversion": "1.0",
            "id": "01976b2e-6000-7000-8000-000000000001",
            "source": "/postern/watcher",
            "type": "dev.postern.database.state_changed.v1",
            "subject": _ID,
            "time": "2026-01-15T09:30:00.300000Z",
            "project": "acme",
            "operationid": _OPERATION_ID,
            "sequence": "7",
            "data": {"from_state": "requested", "to_state": "provisioning", "reason": "creating", "revision": 1},
        }
    ],
    "next_cursor": "7",
}
AUDIT: Final[dict[str, Any]] = {
    "items": [
        {
            "sequence": "3",
            "time": _AT,
            "actor": {"kind": "api_key", "name": "ci", "credential_id": "01976b2f-0000-7000-8000-00000000c1c1"},
            "address": "10.4.7.21",
            "method": "POST",
            "route": "/v1/projects/{project}/databases",
            "resource": "/v1/projects/acme/databases",
            "outcome": "accepted",
            "status": 202,
            "request_id": "01976b2e5f097d2f8a1b000000000001",
            "operation_id": _OPERATION_ID,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        }
    ],
    "next_cursor": None,
}
