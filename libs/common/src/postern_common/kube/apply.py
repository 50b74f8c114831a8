"""Writing objects: server-side apply, fenced deletes, and optimistic status patches.

Separate from the client because here stand the rules that make two writers safe: a field manager, strict validation,
the resource version that was read, preconditions on every delete.
"""

from collections.abc import Mapping
from typing import Any

from postern_common.contracts.kubernetes import FIELD_MANAGER
from postern_common.kube.client import DEFAULT_TIMEOUT, KubeApi
from postern_common.kube.errors import NotFoundError
from postern_common.kube.paths import manifest_path

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"


async def server_side_apply(
    client: KubeApi,
    manifest: Mapping[str, Any],
    *,
    force: bool = True,
    field_manager: str = FIELD_MANAGER,
    timeout: float = DEFAULT_TIMEOUT,
) -> dict[str, Any]:
    """Apply the whole desired object and return it as stored.

    ``metadata.resourceVersion`` in the manifest is the optimistic lock: a newer object gives ``ConflictError``. Creates
    (201) and updates (200) answer alike; an unchanged apply writes nothing. Raises a ``KubeError``.
    """
    query = {"fieldManager": field_manager, "fieldValidation": "Strict", "force": "true" if force else "false"}
    answer: dict[str, Any] = await client.request(
        "PATCH", manifest_path(manifest), query=query, body=manifest, content_type=APPLY_PATCH, timeout=timeout
    )
    return answer


async def delete_object(
    client: KubeApi, path: str, *, uid: str, resource_version: str | None = None, timeout: float = DEFAULT_TIMEOUT
) -> bool:
    """Delete exactly the object that was read; its dependents follow in the background.

    False when it is gone already. Raises ``ConflictError`` when another object has the name, or it changed since.
    """
    preconditions = {"uid": uid}
    if resource_version is not None:
        preconditions["resourceVersion"] = resource_version
    options = {
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions,
    }  # fmt: skip
    try:
        await client.request("DELETE", path, body=options, timeout=timeout)
    except NotFoundError:
        return False
    return True


async def merge_patch(
    client: KubeApi, path: str, patch: Mapping[str, Any], *, timeout: float = DEFAULT_TIMEOUT
) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) of an object or subresource; a resource version in it is the optimistic lock."""
    answer: dict[str, Any] = await client.request(
        "PATCH",
        path,
        query={"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"},
        body=patch,
        content_type=MERGE_PATCH,
        timeout=timeout,
    )
    return answer
