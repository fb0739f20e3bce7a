"""The encoding of protobuf, as far as the SDK needs it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm._protobuf import BYTES, FIXED32, FIXED64, VARINT, decode_fields, encode_field, fields_of


def test_fields() -> None:
    message = encode_field(1, "name") + encode_field(2, 300) + encode_field(3, 0) + encode_field(16, b"\0" * 200)
    assert message.startswith(b"\x0a\x04name\x10\xac\x02\x82\x01\xc8\x01\0")
    assert decode_fields(message) == {1: b"name", 2: 300, 16: b"\0" * 200}
    assert fields_of(b"\x09abcdefgh\x15abcd\x08\x01") == [
        (1, FIXED64, b"abcdefgh"),
        (2, FIXED32, b"abcd"),
        (1, VARINT, 1),
    ]
    assert decode_fields(b"\x08\x01\x08\x02") == {1: 2}
    assert fields_of(b"") == []


@pytest.mark.parametrize(
    "message",
    [b"\x0a", b"\x0a\x02a", b"\x08", b"\x08\x80", b"\x08" + b"\xff" * 10, b"\0a", b"\x0b", b"\x0e", b"\x09abc"],
    ids=repr,
)
def test_malformed(message: bytes) -> None:
    assert fields_of(message) is None
    assert decode_fields(message) == {}


_VALUES = st.one_of(st.integers(1, 2**64 - 1), st.binary(min_size=1))


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), _VALUES)))
def test_what_is_encoded_is_decoded(fields: list[tuple[int, int | bytes]]) -> None:
    found = fields_of(b"".join(encode_field(number, value) for number, value in fields))
    assert found == [(number, BYTES if isinstance(value, bytes) else VARINT, value) for number, value in fields]


@given(st.binary())
def test_anything_is_decoded(message: bytes) -> None:
    found = fields_of(message)
    assert found is None or all(number > 0 for number, _, _ in found)
