"""Where clients reach a cluster: pure functions from its Services to endpoints, one per address mode."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from postern_common.contracts.kubernetes import ANNOTATION_DEV_ADDRESS, POSTGRES_PORT


class AddressMode(StrEnum):
    """How addresses are handed out: a property of the installation, not of a database."""

    SERVICE_DNS = "service-dns"
    CLUSTER_IP = "cluster-ip"
    LOAD_BALANCER = "load-balancer"
    DEVELOPMENT = "development"


class Role(StrEnum):
    """Which instances an endpoint leads to."""

    PRIMARY = "primary"
    REPLICAS = "replicas"
    ANY = "any"


SUFFIXES = {Role.PRIMARY: "rw", Role.REPLICAS: "ro", Role.ANY: "r"}
"""Endings of the operator's Services."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address. ``scope``: ``cluster`` is reachable inside the Kubernetes cluster only, ``external`` from outside."""

    role: Role
    scope: str
    host: str
    port: int


def service_name(cluster: str, role: Role, mode: AddressMode) -> str:
    """Name of the Service behind an endpoint: the operator's own, or the load balancer that we ask it for."""
    name = f"{cluster}-{SUFFIXES[role]}"
    return f"{name}-lb" if mode is AddressMode.LOAD_BALANCER else name


def endpoint_of(service: Mapping[str, Any], role: Role, mode: AddressMode) -> Endpoint | None:
    """The endpoint that a Service gives in ``mode``; None while it has no address yet."""
    metadata = service["metadata"]
    if mode is AddressMode.SERVICE_DNS:
        return Endpoint(role, "cluster", f"{metadata['name']}.{metadata['namespace']}.svc", POSTGRES_PORT)
    if mode is AddressMode.CLUSTER_IP:
        address = str((service.get("spec") or {}).get("clusterIP"))
        return Endpoint(role, "cluster", address, POSTGRES_PORT) if _is_address(address) else None
    if mode is AddressMode.LOAD_BALANCER:
        ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
        host = ingress[0].get("ip") or ingress[0].get("hostname")
        return Endpoint(role, "external", host, POSTGRES_PORT) if host else None
    return _development(metadata.get("annotations") or {}, role)


def _development(annotations: Mapping[str, str], role: Role) -> Endpoint | None:
    host, separator, port = annotations.get(ANNOTATION_DEV_ADDRESS, "").rpartition(":")
    if not separator or not host or not port.isdigit():
        return None
    return Endpoint(role, "external", host.strip("[]"), int(port))


def _is_address(text: object) -> bool:
    """A headless Service says ``None`` in words."""
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True
