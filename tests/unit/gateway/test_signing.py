"""Cursors, tags, idempotency fingerprints and keys: what clients send back, and cannot forge."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_common.errors import ClientError
from postern_gateway.domain.api_keys import format_key, generate_secret, hash_secret, parse_key
from postern_gateway.domain.cursors import CursorSigner
from postern_gateway.domain.etags import check_if_match, is_unmodified
from postern_gateway.domain.idempotency import IdempotencyKey, fingerprint

SIGNER = CursorSigner("k" * 32)


def test_a_cursor_is_read_by_the_list_that_gave_it_only() -> None:
    position = uuid4()
    cursor = SIGNER.sign("databases|a", position)
    assert SIGNER.read("databases|a", cursor) == position
    for signer, scope in ((SIGNER, "databases|b"), (CursorSigner("x" * 32), "databases|a")):
        with pytest.raises(ClientError, match=r"invalid_cursor|validation_failed"):
            signer.read(scope, cursor)


@given(st.text(max_size=60))
def test_any_text_is_refused_as_a_cursor(text: str) -> None:
    with pytest.raises(ClientError):
        SIGNER.read("databases|a", text)


@pytest.mark.parametrize("header", [None, "*", '"a-1"', '"x", "a-1"'])
def test_a_matching_precondition_lets_the_write_through(header: str | None) -> None:
    check_if_match(header, '"a-1"')


@pytest.mark.parametrize(("header", "status"), [('"a-2"', 412), ('W/"a-1"', 412), ("a-1", 400), ("", 400)])
def test_any_other_precondition_stops_it(header: str, status: int) -> None:
    with pytest.raises(ClientError) as caught:
        check_if_match(header, '"a-1"')
    assert caught.value.status == status
    assert caught.value.headers.get("ETag") == ('"a-1"' if status == 412 else None)


def test_if_none_match_compares_weakly() -> None:
    assert is_unmodified('W/"a-1"', '"a-1"')
    assert is_unmodified("*", '"a-1"')
    assert not is_unmodified('"a-2"', '"a-1"')
    assert not is_unmodified(None, '"a-1"')


def test_every_part_of_a_request_is_in_its_fingerprint() -> None:
    base = ("POST", "/a", b"q=1", b"{}", None)
    variants = [
        base,
        ("PATCH", "/a", b"q=1", b"{}", None),
        ("POST", "/b", b"q=1", b"{}", None),
        ("POST", "/a", b"q=2", b"{}", None),
        ("POST", "/a", b"q=1", b"{ }", None),
        ("POST", "/a", b"q=1", b"{}", '"x"'),
        ("POST", "/aq", b"=1", b"{}", None),
    ]
    assert len({fingerprint(*variant) for variant in variants}) == len(variants)


def test_the_lock_belongs_to_credential_and_key() -> None:
    locks = {IdempotencyKey(c, k, b"").lock for c, k in (("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"))}
    assert len(locks) == 4
    assert all(-(2**63) <= lock < 2**63 for lock in locks)


def test_a_key_is_parsed_back_and_matches_its_hash_only() -> None:
    key_id, secret = uuid4(), generate_secret()
    presented = parse_key(format_key(key_id, secret))
    assert presented is not None
    assert presented.id == key_id
    assert presented.matches(hash_secret(secret))
    assert not presented.matches(hash_secret(generate_secret()))
    assert secret not in repr(presented)


@pytest.mark.parametrize("token", ["", "pst_", "pst_x_y", f"pst_{'0' * 32}_short", f"PST_{'0' * 32}_{'a' * 43}"])
def test_what_is_no_key_is_none(token: str) -> None:
    assert parse_key(token) is None
