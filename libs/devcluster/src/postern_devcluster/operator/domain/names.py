"""DNS names of a cluster's Services, as they stand in its certificate and its status."""

from postern_devcluster.operator.domain.manifests import SERVICES


def service_names(name: str, namespace: str) -> list[str]:
    """Return every DNS name under which the cluster's Services are reached."""
    return [
        f"{name}-{service}{suffix}"
        for service in SERVICES
        for suffix in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    ]
