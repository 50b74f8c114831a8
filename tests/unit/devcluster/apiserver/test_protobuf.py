"""Bodies in protobuf, as kubectl's ``create`` sends them."""

import pytest

from postern_devcluster.apiserver.protobuf import decode
from postern_devcluster.apiserver.status import ApiError


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2, len(content)]) + content


def body(kind: bytes, message: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, message)


def test_a_config_map_is_decoded() -> None:
    metadata = field(1, b"settings") + field(3, b"acme") + field(11, field(1, b"app") + field(2, b"x"))
    entry = field(1, b"key") + field(2, b"value")
    assert decode(body(b"ConfigMap", field(1, metadata) + field(2, entry))) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "acme", "labels": {"app": "x"}},
        "data": {"key": "value"},
    }


def test_bytes_of_a_secret_become_base64() -> None:
    entry = field(1, b"password") + field(2, b"x")
    assert decode(body(b"Secret", field(2, entry)))["data"] == {"password": "eA=="}


def test_other_kinds_are_left_to_json() -> None:
    with pytest.raises(ApiError) as refused:
        decode(body(b"Deployment", b""))
    assert refused.value.code == 415


@pytest.mark.parametrize("raw", [b"", b"{}", b"k8s\x00\x0a\xff", b"k8s\x00\x0a\x05ab", b"k8s\x00\x0f"])
def test_broken_bodies_are_bad_requests(raw: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(raw)
    assert refused.value.code == 400
