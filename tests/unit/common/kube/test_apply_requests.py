"""How writes are asked for: content type, field manager, strictness, locks."""

from collections.abc import Mapping
from typing import Any

import pytest

from postern_common.kube.apply import delete_object, merge_patch, server_side_apply
from postern_common.kube.errors import NotFoundError

MANIFEST = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}


class Recorder:
    """A ``KubeApi`` that notes one request and answers it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.made: dict[str, Any] = {}

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] = {}, body: Any = None,
        content_type: str = "application/json", timeout: float = 0,
    ) -> Any:  # fmt: skip
        self.made = {"method": method, "path": path, "query": dict(query), "body": body, "type": content_type}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def read(self, path: str, *, query: Mapping[str, str] = {}, timeout: float = 0) -> bytes:
        raise AssertionError("not used")

    def stream(self, path: str, *, query: Mapping[str, str] = {}, read_timeout: float) -> Any:
        raise AssertionError("not used")


async def test_an_apply_names_its_manager_and_is_strict() -> None:
    api = Recorder({"metadata": {}})
    await server_side_apply(api, MANIFEST)

    assert api.made == {
        "method": "PATCH",
        "path": "/api/v1/namespaces/a",
        "query": {"fieldManager": "postern-provisioner", "fieldValidation": "Strict", "force": "true"},
        "body": MANIFEST,
        "type": "application/apply-patch+yaml",
    }


async def test_a_delete_names_the_object_it_means() -> None:
    api = Recorder({})

    assert await delete_object(api, "/x", uid="u", resource_version="7")
    assert api.made["body"]["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert api.made["body"]["propagationPolicy"] == "Background"


async def test_deleting_what_is_gone_is_no_error() -> None:
    assert not await delete_object(Recorder(NotFoundError("not_found", "", status=404)), "/x", uid="u")


@pytest.mark.parametrize("patch", [{"status": {"a": 1}}, {"metadata": {"annotations": {"a": "b"}}}])
async def test_a_merge_patch_is_strict_too(patch: dict[str, Any]) -> None:
    api = Recorder({})
    await merge_patch(api, "/x", patch)

    assert api.made["type"] == "application/merge-patch+json"
    assert api.made["query"]["fieldValidation"] == "Strict"
