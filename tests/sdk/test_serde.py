"""The pairs codec and property paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm._serde import MAX_PAIRS, decode_pairs, decode_path, encode_pairs, encode_path, to_bytes, to_text

pairs = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=20)


def test_layout_is_the_hosts() -> None:
    assert encode_pairs([("a", "bc")]) == b"\x01\0\0\0\x01\0\0\0\x02\0\0\0a\0bc\0"


@given(pairs)
def test_round_trip(original: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(encode_pairs(original)) == original


@given(st.binary(max_size=64))
def test_decoding_never_fails_and_is_strict(data: bytes) -> None:
    decoded = decode_pairs(data)
    assert not decoded or encode_pairs(decoded) == data


@given(pairs.filter(bool), st.data())
def test_truncated_is_empty(original: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    encoded = encode_pairs(original)
    assert decode_pairs(encoded[: data.draw(st.integers(0, len(encoded) - 1))]) == []
    assert decode_pairs(encoded + b"\0") == []


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\0\0\0\0\0\0\0\0\0\0\0aa"])
def test_every_spelling_of_empty(data: bytes) -> None:
    assert decode_pairs(data) == []


def test_limits_of_the_host() -> None:
    assert len(decode_pairs(encode_pairs([("a", "b")] * MAX_PAIRS))) == MAX_PAIRS
    with pytest.raises(ValueError, match="1025 pairs"):
        encode_pairs([("a", "b")] * (MAX_PAIRS + 1))
    with pytest.raises(ValueError, match="bytes encoded"):
        encode_pairs([("a", "b" * 2**20)])


@given(st.binary())
def test_any_bytes_survive_as_text(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data


def test_paths() -> None:
    assert encode_path("request.path") == encode_path(("request", "path")) == b"request\0path"
    assert decode_path(b"request\0path\0") == ("request", "path")
