"""A registry that sends any bytes: each answer is used or refused clearly, and no other host gets secrets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pwasm_compiler import connections
from pwasm_compiler.errors import ImageError, PwasmError, RegistryError
from pwasm_compiler.oci import unpack
from pwasm_compiler.oci.answers import error_message, retry_after, token_in
from pwasm_compiler.oci.image import make_image
from pwasm_compiler.oci.manifest import OCI_LAYER, Descriptor, parse_manifest
from pwasm_compiler.oci.reference import parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import Transport
from pwasm_compiler.oci.url import parse_url
from tests.fuzz import wire
from tests.fuzz.wire import BETWEEN, CHALLENGE, MANIFEST, MODULE, MOVED, REGISTRY, STORAGE, TOKEN, response, session
from tests.support import registries

Start = Callable[[Callable[[Any], Any]], Any]
BAD_URLS = [
    "http://[", "https://[::1", "https://[1.2.3.4]/", "https://[v1.x]/", "https://[fe80::1%25eth0]/",
    "https://127.0.0.1:abc/", "https://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://127.0.0.1:0/",
    "https://a..b/", f"https://{'a' * 70}/", f"https://{'a.' * 130}a/", "https://.a/", "https://-a/",
    "http://127.0.0.1:5000/\xe9", "https://\xe9.example/", "https://a\xe2\x84\x80b.example/",
    "http://127.0.0.1:5000/\0x", "http://127.0.0.1:5000/ x y", "http://user:password@127.0.0.1:5000/v2/",
    "http://127.0.0.1:5000\\@127.0.0.1:6000/", "http://%31%32%37.0.0.1/", "file:///etc/passwd",
    "javascript:alert(1)", "https:///x", "https:x", "//", "//[", f"https://a/{'x' * 20_000}",
]  # fmt: skip
FRAMING = [
    b"Content-Length: -5\r\n\r\nabc",
    b"Content-Length: abc\r\n\r\nabc",
    b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
    b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 100_000,
    b"".join(b"X-%d: a\r\n" % number for number in range(500)) + b"\r\n",
    b"X: " + b"a" * 100_000 + b"\r\n\r\n",
]
STARTS = [b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 999 OK\r\n\r\n", b"hello\r\n", b"", bytes(range(256)) * 100]
PAUSES = [
    "Mon, 01 Jan 2030 00:00:00 +999999999999999999999", "Mon, 01 Jan 2030 00:00:00 +9999",
    "Mon, 01 Jan 0001 00:00:00 -0000", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "-5", "nan", "1e9", "\xb2",
    "Mon, 99 Jan 2030 99:99:99 GMT", "(" * 10_000,
]  # fmt: skip


def refused(*responses: bytes, kind: str = "P") -> str:
    """The error that a session ends in."""
    with pytest.raises(PwasmError) as caught:
        wire.registry(session(kind, *responses))
    return str(caught.value)


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_are_none(url: str) -> None:
    assert parse_url(url) is None
    assert "redirects to something other than" in refused(response(status="302 Found", Location=url))
    said = refused(response(status="401 U", WWW_Authenticate=f'Bearer realm="{url}"'))
    assert "names no valid token server" in said or "scheme that pwasm does not support" in said
    wire.registry(session("c", response(status="401 U", WWW_Authenticate=f'Bearer realm="{url}"')))
    refused(wire.MISSING, response(status="202 Accepted", Location=url), kind="U")


def test_urls_that_are_some() -> None:
    for text, shown, origin in (
        ("HTTPS://Registry.Example.com:443", "https://registry.example.com/", ("https", "registry.example.com", 443)),
        ("http://[::1]:5000/v2/?a=b#c", "http://[::1]:5000/v2/?a=b", ("http", "[::1]", 5000)),
        ("https://a_b.example.:8443/<x>?y={z}", "https://a_b.example.:8443/<x>?y={z}", ("https", "a_b.example.", 8443)),
        ("https://a?x", "https://a/?x", ("https", "a", 443)),
    ):
        found = parse_url(text)
        assert found is not None
        assert (str(found), found.origin) == (shown, origin)


@settings(max_examples=200)
@given(
    st.text()
    | st.lists(st.sampled_from(["https://", "[", "]", "a", ":", "80", "/", "@", ".", "?", "\\", "%"])).map("".join)
)
def test_any_text_is_a_url_or_none(text: str) -> None:
    found = parse_url(text)
    if found is not None:
        assert parse_url(str(found)) == found
        assert found.join(text) == found
    here = parse_url("https://registry.example.com/v2/a/")
    assert here is not None
    assert (target := here.join(text)) is None or parse_url(str(target)) == target


@pytest.mark.parametrize("rest", FRAMING, ids=range(len(FRAMING)))
def test_framing(rest: bytes) -> None:
    refused(*[b"HTTP/1.1 200 OK\r\n" + rest] * 4)


@pytest.mark.parametrize("start", STARTS, ids=range(len(STARTS)))
def test_what_is_no_http(start: bytes) -> None:
    assert REGISTRY in refused(*[start] * 4)


@pytest.mark.parametrize("pause", PAUSES, ids=range(len(PAUSES)))
def test_pauses_beyond_any_calendar(pause: str) -> None:
    found = retry_after(pause)
    assert found is None or 0 <= found < 1e12
    refused(*[response(status="429 T", Retry_After=pause)] * 4)


@pytest.mark.parametrize(
    "token", ["\u20ac", [1], "a" * 200_000, "\ud800", "a b", "a\nb", "", None, {}], ids=lambda value: repr(value)[:9]
)
def test_tokens_that_no_header_holds(token: object) -> None:
    body = json.dumps({"token": token}).encode()
    assert token_in(body) is None
    assert "did not answer with a token" in refused(CHALLENGE, response(body))


@pytest.mark.parametrize(
    "size", [-1, 1.5, 1e300, True, "1", None, [], 10**400, 2**63], ids=lambda value: repr(value)[:9]
)
def test_sizes(size: object) -> None:
    manifest = json.loads(wire.MADE.manifest.raw)
    manifest["layers"][0]["size"] = size
    with pytest.raises(ImageError, match="without a size"):
        parse_manifest(json.dumps(manifest).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors":' * 6000,
        b'{"errors":[{"message":[1,2],"code":{"a":"b"}}]}',
        b'{"errors":{"a":1}}',
        b'{"errors":' + b"1" * 50_000 + b"}",
        b'{"errors":[1,null,"x"]}',
        b"\xff",
    ],
    ids=range(6),
)
def test_errors_that_say_nothing(body: bytes) -> None:
    assert error_message(body) == ""
    refused(response(body, "404 Not Found"))


def test_a_storage_that_wants_credentials_gets_none() -> None:
    """RFC 9110 section 11.6.1: the challenge is of the host that sent it. CVE-2020-15157 was the same in containerd."""
    evil = response(status="401 U", WWW_Authenticate='Bearer realm="http://127.0.0.1:7000/token"')
    for challenge in (evil, response(status="401 U", WWW_Authenticate='Basic realm="x"')):
        said = refused(MOVED, challenge, TOKEN, MANIFEST)
        assert "your credentials for it are not sent to other hosts" in said
        assert f"http://{STORAGE}/x" in said


def test_a_storage_that_leads_back_gets_nothing_done(double: Start) -> None:
    """A request that another host chose has no credentials, not even to the registry that they are for."""

    def answer(seen: Any) -> Any:
        if "Authorization" not in seen.headers:
            return registries.Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return registries.Answer(307, headers={"Location": f"http://{storage.address}/"})

    server = double(answer)
    storage = double(lambda _: registries.Answer(307, headers={"Location": f"http://{server.address}/v2/chosen"}))
    client = Registry(parse_reference(f"{server.address}/a/b:x"), Transport(), credentials=lambda _: wire.KNOWN)
    with pytest.raises(RegistryError, match="requires authentication"):
        client.manifest()
    assert ["Authorization" in seen.headers for seen in server.seen] == [False, True, False]
    assert not any("Authorization" in seen.headers for seen in storage.seen)


def test_a_leak_would_be_seen() -> None:
    found = wire.Wire([])
    found.made = [(REGISTRY, bytearray(), MOVED), ("evil.test:443", bytearray(b"x" + wire.BASIC), b"")]
    assert found.leaks() == ["evil.test:443"]


URLS = st.sampled_from([f"http://{host}/x" for host in (REGISTRY, STORAGE, wire.TOKENS, "evil.test")] + BAD_URLS)
TEXTS = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
HEADERS = st.one_of(
    URLS.map(lambda url: f"Location: {url}"),
    URLS.map(lambda url: f'WWW-Authenticate: Bearer realm="{url}",service="s"'),
    TEXTS.map(lambda text: f"WWW-Authenticate: {text}"),
    st.just('WWW-Authenticate: Basic realm="x"'),
    st.sampled_from(PAUSES).map(lambda pause: f"Retry-After: {pause}"),
    st.integers(-5, 10**30).map(lambda size: f"Content-Length: {size}"),
    st.just("Transfer-Encoding: chunked"),
    TEXTS.map(lambda text: f"Content-Type: {text}"),
    TEXTS,
)
KEYS = ["errors", "message", "code", "layers", "config", "mediaType", "size", "digest", "token"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([wire.MADE.manifest.raw, *wire.MADE.blobs.values(), b'{"token":"t"}', b"-5\r\nabc", b"5\r\nabc"]),
    JSON.map(lambda value: json.dumps(value).encode()),
)
STATUSES = st.sampled_from(
    ["200 OK", "202 A", "201 C", "401 U", "404 N", "307 T", "302 F", "100 C", "429 T", "999 x", "y"]
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(wire.sessions()))[1:].split(BETWEEN)[0]
    lines = [f"HTTP/1.1 {draw(STATUSES)}", *draw(st.lists(HEADERS, max_size=4)), "", ""]
    return "\r\n".join(lines).encode("latin-1") + draw(BODIES)


@settings(max_examples=300)
@given(st.sampled_from("pPuUcC"), st.lists(responses(), min_size=1, max_size=7))
def test_any_answer_is_used_or_refused(kind: str, answers: list[bytes]) -> None:
    """`wire.registry` fails if another host gets the password."""
    with contextlib.suppress(PwasmError):
        wire.registry(session(kind, *answers))


class Slow(io.RawIOBase):
    """A stream that sends a byte at a time, each after a minute."""

    def __init__(self, data: bytes, clock: list[float]) -> None:
        self._data, self._clock = io.BytesIO(data), clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._clock[0] += 59
        piece = self._data.read(1)
        buffer[: len(piece)] = piece
        return len(piece)


def read(data: bytes, limit: int) -> bytes:
    """The body of the response `data`, which arrives a byte a minute."""
    now = [0.0]

    class Socket:
        def makefile(self, mode: str, buffering: int) -> Slow:
            assert (mode, buffering) == ("rb", 0)
            return Slow(data, now)

    found = connections.response(connections.Clock(60, limit, lambda: now[0]), Socket())
    found.begin()
    return bytes(found.read())


@pytest.mark.parametrize("data", [MANIFEST, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, b"HTTP/1.1 200 " + b"a" * 1000])
def test_a_server_that_sends_a_byte_a_minute(data: bytes) -> None:
    with pytest.raises(TimeoutError):
        read(data, 1 << 20)


def layers() -> Iterator[tuple[str, bytes]]:
    """Archives whose headers are wrong in ways that `tarfile` does not expect."""

    def block(name: str, data: bytes, kind: bytes) -> bytes:
        member = tarfile.TarInfo(name)
        member.size, member.type = len(data), kind
        return member.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)

    end = block("plugin.wasm", MODULE, b"0") + bytes(1024)
    for record in (b"x", b"5", b"9" * 26 + b" a=b\n", b"0 a=b\n", b"-5 a=b\n", b"5 =b\n", b"\xff\xff", b"3 \n"):
        yield record[:9].decode("latin-1"), block("pax", record, b"x") + end
    for name, value in (
        ("GNU.sparse.map", "1,x"), ("GNU.sparse.size", "abc"), ("size", "abc"), ("size", "-1"), ("size", "9" * 20),
        ("mtime", "1e999"), ("uid", "x"), ("GNU.sparse.realsize", "x"), ("path", "a\0b"),
    ):  # fmt: skip
        text = f" {name}={value}\n".encode()
        size = next(n for n in range(len(text), len(text) + 5) if len(str(n)) + len(text) == n)
        yield f"{name}={value[:5]}", block("pax", str(size).encode() + text, b"x") + end
    header = bytearray(block("plugin.wasm", MODULE, b"0"))
    for field in (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-0000000010\0", b"abcdefghijk\0"):
        header[124:136] = field
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header[:512])
        yield repr(field[:4]), bytes(header) + bytes(1024)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in layers()])
def test_archives(data: bytes) -> None:
    packed = gzip.compress(data)
    with contextlib.suppress(ImageError):
        assert unpack.extract(Descriptor(OCI_LAYER, "sha256:" + "0" * 64, 1), packed) == MODULE


def test_members_without_end_are_not_kept() -> None:
    member = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    packed = gzip.compress(member * 20_000, 1)
    with pytest.raises(ImageError, match=r"no plugin\.wasm in the image") as caught:
        unpack.extract(Descriptor(OCI_LAYER, "sha256:" + "0" * 64, 1), packed)
    assert caught.value.why == "Its last layer contains x, x, x, x, x."


def escapes(image: dict[str, Any], blobs: dict[str, bytes], double: Start) -> Any:
    """A registry with one image."""

    def answer(seen: Any) -> Any:
        kind, name = seen.path.rpartition("/")[0].rpartition("/")[2], seen.path.rpartition("/")[2]
        if kind == "blobs":
            return registries.Answer(200, blobs[name])
        return registries.Answer(200, json.dumps(image).encode(), {"Content-Type": image["mediaType"]})

    return double(answer)


def test_a_layer_that_was_changed_is_not_called_missing(pwasm: Any, double: Start) -> None:
    made = make_image(MODULE, {})
    changed = {digest: bytes([*data[:-1], data[-1] ^ 1]) for digest, data in made.blobs.items()}
    server = escapes(json.loads(made.manifest.raw), changed, double)
    result = pwasm("inspect", f"{server.address}/team/filter:1")
    assert result.code == 1
    assert "does not match its digest" in result.err
    assert "it has been modified" in result.err


NASTY = "\x1b[2J\x1b]0;x\a\x9b31m\u202e\nproblem      none\r"


def test_nothing_in_an_image_reaches_the_terminal_as_it_is(pwasm: Any, double: Start) -> None:
    name = NASTY.encode()
    section = bytes([len(name)]) + name
    module = MODULE + b"\0" + bytes([len(section)]) + section
    made = make_image(module, {NASTY: NASTY})
    manifest = json.loads(made.manifest.raw)
    server = escapes(manifest, dict(made.blobs), double)
    for command in (("inspect",), ("inspect", "--as", "istio"), ("pull", "-o", "out.wasm")):
        result = pwasm(*command, f"{server.address}/team/filter:1")
        for line in (result.out + result.err).split("\n"):
            assert line.isprintable(), line
            assert not line.startswith("problem")
    assert r"\x1b[2J\x1b]0;x\x07" in pwasm("inspect", f"{server.address}/team/filter:1").out


def test_nothing_in_an_error_reaches_the_terminal_as_it_is(pwasm: Any, double: Start) -> None:
    body = json.dumps({"errors": [{"code": NASTY, "message": NASTY + base64.b64encode(b"x").decode()}]}).encode()
    server = double(lambda _: registries.Answer(404, body))
    result = pwasm("pull", f"{server.address}/team/filter:1")
    assert result.code == 1
    assert all(line.isprintable() for line in result.err.split("\n")), result.err
