"""The objects a cluster has from its first moment, whatever its instances do: secrets, services, disruption budgets."""

import secrets

from postern_common.kube.paths import SECRETS, SERVICES
from postern_devcluster.operator.certificates import KeyPair, expiry, issue, make_authority
from postern_devcluster.operator.domain.manifests import (
    LABEL_USER_TYPE,
    app_credentials,
    budgets,
    build_secret,
    build_service,
    secret_text,
)
from postern_devcluster.operator.domain.manifests import SERVICES as SERVICE_KINDS
from postern_devcluster.operator.domain.names import service_names
from postern_devcluster.operator.domain.spec import ClusterSpec
from postern_devcluster.operator.objects import BUDGETS, Object, ObjectStore
from postern_devcluster.operator.runtime import Certificates, Host

_RELOAD = {"cnpg.io/reload": "true"}


class Foundation:
    """Makes what is missing and reads back what is there; nothing that exists is changed."""

    def __init__(self, store: ObjectStore, host: Host) -> None:
        self._store = store
        self._host = host

    async def certificates(self, spec: ClusterSpec) -> tuple[Certificates, dict[str, str]]:
        """Ensure the certificate secrets; returns what servers need of them, and when each secret's ends."""
        authority = await self._pair(spec, f"{spec.name}-ca", "Opaque", ("ca.crt", "ca.key"), None)
        server = await self._pair(spec, f"{spec.name}-server", "kubernetes.io/tls", ("tls.crt", "tls.key"), authority)
        replication = await self._pair(
            spec, f"{spec.name}-replication", "kubernetes.io/tls", ("tls.crt", "tls.key"), authority
        )
        pairs = {"ca": authority, "server": server, "replication": replication}
        ends = {f"{spec.name}-{suffix}": expiry(pair.certificate) for suffix, pair in pairs.items()}
        return Certificates(authority.certificate, server.certificate, server.key), ends

    async def services(self, spec: ClusterSpec) -> None:
        """Ensure the three Services."""
        for kind in SERVICE_KINDS:
            address = self._host.service_address(spec.identity, kind)
            manifest = build_service(spec, kind, address)
            found = await self._store.ensure(SERVICES, manifest)
            annotations = manifest["metadata"]["annotations"]
            if any((found["metadata"].get("annotations") or {}).get(k) != v for k, v in annotations.items()):
                change = {"metadata": {"annotations": annotations}}
                await self._store.patch(SERVICES, manifest["metadata"]["name"], spec.namespace, change)

    async def budgets(self, spec: ClusterSpec, cluster: Object) -> None:
        """Ensure the disruption budgets that this size has, and remove the one it has not."""
        wanted = budgets(spec)
        for name in (f"{spec.name}-primary", spec.name):
            found = await self._store.get(BUDGETS, name, spec.namespace)
            if name in wanted and found is None:
                await self._store.record_event(
                    cluster, "Normal", "CreatingPodDisruptionBudget", f"Creating PodDisruptionBudget {name}"
                )
                await self._store.ensure(BUDGETS, wanted[name])
            elif name not in wanted and found is not None:
                await self._store.record_event(
                    cluster, "Normal", "DeletingPodDisruptionBudget", f"Deleting Pod Disruption Budget {name}"
                )
                await self._store.delete(BUDGETS, name, spec.namespace)

    async def app_password(self, spec: ClusterSpec) -> str:
        """Ensure the application's secret and return the password in it."""
        manifest = build_secret(
            spec,
            spec.app_secret,
            "kubernetes.io/basic-auth",
            app_credentials(spec, secrets.token_urlsafe(48)),
            labels={LABEL_USER_TYPE: "app", **_RELOAD},
        )
        return secret_text(await self._store.ensure(SECRETS, manifest), "password")

    async def _pair(
        self, spec: ClusterSpec, name: str, kind: str, keys: tuple[str, str], authority: KeyPair | None
    ) -> KeyPair:
        found = await self._store.get(SECRETS, name, spec.namespace)
        if found is None:
            pair = self._make(spec, name, authority)
            data = {keys[0]: pair.certificate, keys[1]: pair.key}
            found = await self._store.ensure(SECRETS, build_secret(spec, name, kind, data))
        return KeyPair(secret_text(found, keys[0]), secret_text(found, keys[1]))

    def _make(self, spec: ClusterSpec, name: str, authority: KeyPair | None) -> KeyPair:
        if authority is None:
            return make_authority(spec.name)
        if name.endswith("-replication"):
            return issue(authority, "streaming_replica")
        addresses = [self._host.service_address(spec.identity, kind) for kind in SERVICE_KINDS]
        return issue(authority, f"{spec.name}-rw", names=service_names(spec.name, spec.namespace), addresses=addresses)
