"""What the server itself does to objects of built-in kinds: defaults at create, changes that it refuses.

Separate from ``admission`` (the operator's webhooks) and from the generic write path, which calls ``mutate`` and
``refuse`` for every kind.
"""

from collections.abc import Callable
from dataclasses import dataclass

from postern_devcluster.apiserver import admission
from postern_devcluster.apiserver.defaults import with_kind_defaults
from postern_devcluster.apiserver.kinds import CLAIMS, CLUSTERS, SERVICES, STORAGE_CLASSES, Kind
from postern_devcluster.apiserver.status import Object, cause, forbidden, invalid
from postern_devcluster.apiserver.store import ObjectStore
from postern_devcluster.apiserver.validation import is_quantity, quantity

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SERVICE_NETWORK = "10.96"


@dataclass(slots=True)
class Lifecycle:
    """Defaults and refusals that look at other objects (storage classes, used cluster addresses)."""

    store: ObjectStore
    _next_address: int = 0

    def mutate(self, kind: Kind, body: Object, before: Object | None) -> Object:
        """The object with defaults; ``before`` is None at create."""
        step = _MUTATIONS.get(kind.resource)
        return step(self, body, before) if step is not None else with_kind_defaults(kind, body, before)

    def refuse(self, kind: Kind, body: Object, before: Object | None) -> None:
        """Raise what admission or validation of this kind says against the object."""
        if kind is CLUSTERS:
            admission.refuse_cluster(body, before)
        elif kind is CLAIMS and before is not None:
            self._refuse_resize(body, before)

    def service(self, body: Object, before: Object | None) -> Object:
        """Type, ports and a cluster address, kept through updates."""
        spec = {"type": "ClusterIP", "sessionAffinity": "None", **body.get("spec", {})}
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec["ports"] = [{"protocol": "TCP", "targetPort": port.get("port"), **port} for port in spec.get("ports", [])]
        if before is not None and "clusterIP" not in spec and "clusterIP" in before["spec"]:
            spec["clusterIP"] = before["spec"]["clusterIP"]
        if not spec.get("clusterIP") and spec["type"] != "ExternalName":
            spec["clusterIP"] = self._free_address()
        if "clusterIP" in spec:
            spec["clusterIPs"] = [spec["clusterIP"]]
        body = {**body, "spec": spec}
        if before is None:
            body["status"] = {"loadBalancer": {}}
        return body

    def claim(self, body: Object, before: Object | None) -> Object:
        """Volume mode, default storage class; a new claim is Pending."""
        spec = {"volumeMode": "Filesystem", **body.get("spec", {})}
        if before is None:
            default = self._default_class()
            if "storageClassName" not in spec and default:
                spec["storageClassName"] = default
            body = {**body, "status": {"phase": "Pending"}}
        return {**body, "spec": spec}

    def _default_class(self) -> str:
        for stored in self.store.page(STORAGE_CLASSES):
            metadata = stored.object["metadata"]
            if metadata.get("annotations", {}).get(_DEFAULT_CLASS) == "true":
                return str(metadata["name"])
        return ""

    def _free_address(self) -> str:
        taken = {stored.object["spec"].get("clusterIP") for stored in self.store.page(SERVICES)}
        while True:
            self._next_address = self._next_address % 65_000 + 1
            address = f"{_SERVICE_NETWORK}.{self._next_address >> 8}.{self._next_address & 255}"
            if address not in taken:
                return address

    def _refuse_resize(self, body: Object, before: Object) -> None:
        old, new = _asked(before), _asked(body)
        name = body["metadata"]["name"]
        if old == new or not is_quantity(str(old)) or not is_quantity(str(new)):
            return
        if quantity(new) < quantity(old):
            text = "Forbidden: field can not be less than status.capacity"
            raise invalid(CLAIMS, name, [cause("FieldValueForbidden", text, "spec.resources.requests.storage")])
        stored = self.store.get(STORAGE_CLASSES, ("", body["spec"].get("storageClassName", "")))
        if stored is None or not stored.object.get("allowVolumeExpansion"):
            why = (
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize"
            )
            raise forbidden(CLAIMS, name, why)


def _asked(claim: Object) -> str:
    return str(claim["spec"].get("resources", {}).get("requests", {}).get("storage", ""))


_Step = Callable[[Lifecycle, Object, Object | None], Object]
_MUTATIONS: dict[str, _Step] = {
    "services": Lifecycle.service,
    "persistentvolumeclaims": Lifecycle.claim,
}
