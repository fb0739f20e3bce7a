"""Properties of the data between host and SDK: the codec of pairs, header maps against a model, bodies in pieces."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pwasm
from pwasm import Action, HttpContext
from pwasm._serde import decode_pairs, decode_path, encode_pairs, encode_path
from pwasm.testing import HostEmulator

FEW = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PAIRS = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=40)


@FEW
@given(pairs=PAIRS)
def test_pairs_come_back(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(encode_pairs(pairs)) == pairs


DAMAGED = st.tuples(PAIRS, st.integers(0, 400), st.integers(0, 255)).map(lambda made: damaged(*made))


@FEW
@given(data=st.one_of(st.binary(max_size=300), DAMAGED))
def test_what_is_decoded_encodes_to_the_same_bytes(data: bytes) -> None:
    """The property of proxy-wasm-cpp-host's pairs_util_fuzzer; nothing is decoded from what is malformed."""
    pairs = decode_pairs(data)
    assert pairs == [] or encode_pairs(pairs) == data


def damaged(pairs: list[tuple[bytes, bytes]], at: int, byte: int) -> bytes:
    encoded = bytearray(encode_pairs(pairs))
    encoded[at % len(encoded)] = byte
    return bytes(encoded)


@FEW
@given(
    path=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1)
)
def test_paths_come_back(path: list[str]) -> None:
    assert decode_path(encode_path(path)) == tuple(path)


MODELLED = ("x-a", "x-b", "x-c", "cookie")
NAMES = st.sampled_from([*MODELLED, "X-A"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), NAMES, VALUES),
        st.tuples(st.just("set"), NAMES, VALUES),
        st.tuples(st.just("remove"), NAMES, st.just("")),
    ),
    max_size=12,
)


class Edits(HttpContext):
    """Edits the request headers as the test specifies, and reads them in every way."""

    operations: list[tuple[str, str, str]] = []  # noqa: RUF012  set by the test
    seen: list[tuple[str, str]]
    first: dict[str, str | None]

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        for operation, name, value in self.operations:
            if operation == "add":
                pwasm.add_http_request_header(name, value)
            elif operation == "set":
                pwasm.replace_http_request_header(name, value)
            else:
                pwasm.remove_http_request_header(name)
        type(self).seen = [pair for pair in pwasm.get_http_request_headers() if pair[0] in MODELLED]
        type(self).first = {name: pwasm.get_http_request_header(name) for name in MODELLED}
        return Action.CONTINUE


@FEW
@given(operations=OPERATIONS)
def test_headers_are_those_of_a_model(operations: list[tuple[str, str, str]]) -> None:
    """A list of pairs, compared without regard to the order between names."""
    Edits.operations = operations
    HostEmulator(Edits).request("GET", "/")
    model: dict[str, list[str]] = {}
    for operation, name, value in operations:
        held = model.setdefault(name.lower(), [])
        if operation == "remove":
            held.clear()
        elif operation == "set" and held:
            held[:] = [value]
        else:
            held.append(value)
    assert sorted(Edits.seen) == sorted((name, value) for name, held in model.items() for value in held)
    assert Edits.first == {name: next(iter(model.get(name, ())), None) for name in MODELLED}


class Buffers(HttpContext):
    """Holds the body until it is whole, and answers with it."""

    sizes: list[int] = []  # noqa: RUF012  set by the test

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.sizes.append(body_size)
        if not end_of_stream:
            return Action.PAUSE
        pwasm.replace_http_request_body(pwasm.get_http_request_body(0, body_size)[::-1])
        return Action.CONTINUE


@FEW
@given(chunks=st.lists(st.binary(max_size=50), max_size=12))
def test_a_body_in_pieces_is_the_body(chunks: list[bytes]) -> None:
    Buffers.sizes = []
    body = b"".join(chunks)
    stream = HostEmulator(Buffers).request("POST", "/", body=chunks)
    assert stream.request_body == body[::-1]
    assert Buffers.sizes == sorted(Buffers.sizes), "what is held grows"
    assert not Buffers.sizes or Buffers.sizes[-1] == len(body)
