"""Registries that are down, lie, or send us elsewhere. The servers here are doubles: a real one does none of this."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.errors import ImageError, PwasmError, RegistryError
from pwasm_compiler.oci import transport
from pwasm_compiler.oci.credentials import Credentials
from pwasm_compiler.oci.image import make_image
from pwasm_compiler.oci.reference import parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import ATTEMPTS, Transport
from pwasm_compiler.oci.url import parse_url
from tests.support import registries

Pwasm = Callable[..., Any]
Start = Callable[[Callable[[Any], Any]], Any]
KNOWN = Credentials("anna", "s3cret-word")
BASIC = {"WWW-Authenticate": 'Basic realm="here"'}


class Pulls:
    """What a registry with one image answers, with `changes` for some paths; a part of a double."""

    def __init__(self, module: bytes, **changes: Any) -> None:
        self.image = make_image(module, {})
        self.layer = self.image.manifest.layers[0]
        self._answer, self._changes = registries.Answer, changes

    def __call__(self, seen: Any) -> Any:
        kind = "blobs" if "/blobs/" in seen.path else "manifests"
        if kind in self._changes:
            change = self._changes[kind]
            return change(seen) if callable(change) else change
        if kind == "manifests":
            headers = {"Content-Type": self.image.manifest.media_type}
            return self._answer(200, self.image.manifest.raw, headers)
        return self._answer(200, self.image.blobs[seen.path.rpartition("/")[2]])


def client(server: Any, known: Credentials | None = None, pauses: list[float] | None = None) -> Registry:
    reference = parse_reference(f"{server.address}/team/filter:1")
    pause = [] if pauses is None else pauses
    return Registry(reference, Transport(pause=pause.append, timeout_seconds=10), credentials=lambda _: known)


def credentials_in(seen: list[Any]) -> list[str]:
    return [request.headers["Authorization"] for request in seen if "Authorization" in request.headers]


def test_nobody_listens(pwasm: Pwasm, double: Start, tiny_file: Path) -> None:
    server = double(lambda seen: registries.Answer())
    server.stop()
    server.stop = lambda: None
    for command in (("pull",), ("push",), ("inspect",)):
        result = pwasm(*command, f"{server.address}/team/filter:1", *([tiny_file] if command == ("push",) else []))
        assert (result.code, "is the registry running" in result.err) == (1, True), result.err
    assert sorted(file.name for file in Path().iterdir()) == ["home", "tiny.wasm"]


@pytest.mark.parametrize(("status", "hint"), [(403, "lack permission"), (404, "is the name correct"), (405, "405")])
def test_refusals(pwasm: Pwasm, double: Start, tiny: bytes, status: int, hint: str) -> None:
    body = b'{"errors":[{"code":"NO","message":"because \\u001b[31m of this"}]}'
    server = double(lambda seen: registries.Answer(status, body))
    result = pwasm("pull", f"{server.address}/team/filter:1")
    assert (result.code, hint in result.err, "NO because" in result.err) == (1, True, True), result.err
    assert "\x1b[31m of" not in result.err
    assert sorted(file.name for file in Path().iterdir()) == ["home"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_and_not_for_ever(double: Start, tiny: bytes, status: int) -> None:
    server = double(lambda seen: registries.Answer(status, headers={"Retry-After": "7"}))
    pauses: list[float] = []
    with pytest.raises(RegistryError, match="is currently unavailable") as caught:
        client(server, pauses=pauses).manifest()
    assert str(status) in caught.value.why
    assert (pauses, len(server.seen)) == ([7.0] * (ATTEMPTS - 1), ATTEMPTS)

    pulls, failures = Pulls(tiny), [status, status]
    server = double(lambda seen: registries.Answer(failures.pop()) if failures else pulls(seen))
    pauses = []
    assert client(server, pauses=pauses).manifest().digest == pulls.image.digest
    assert pauses == [0.5, 1.0], "without Retry-After the pauses grow"


def test_a_pause_that_is_too_long_is_not_made(double: Start) -> None:
    server = double(lambda seen: registries.Answer(429, headers={"Retry-After": "3600"}))
    pauses: list[float] = []
    with pytest.raises(RegistryError) as caught:
        client(server, pauses=pauses).manifest()
    assert (pauses, "3600 s" in caught.value.hint) == ([], True)


def test_a_date_to_come_back_at(double: Start) -> None:
    server = double(lambda seen: registries.Answer(503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}))
    pauses: list[float] = []
    with pytest.raises(RegistryError):
        client(server, pauses=pauses).manifest()
    assert pauses == [0.0] * (ATTEMPTS - 1)


def test_an_upload_that_fails_is_sent_again_whole(double: Start, tiny: bytes) -> None:
    image, stored, failures = make_image(tiny, {}), {}, [503, 502]

    def answer(seen: Any) -> Any:
        version = seen.path.rpartition("/")[2]
        if seen.method == "HEAD":
            return registries.Answer(404)
        if seen.method == "POST":
            return registries.Answer(202, headers={"Location": "/v2/team/filter/blobs/uploads/1?state=x"})
        if seen.method == "PUT" and failures:
            return registries.Answer(failures.pop())
        if seen.method == "PUT":
            stored[seen.path.partition("digest=sha256%3A")[2] or version] = seen.body
            return registries.Answer(201)
        raw = stored.get(version.removeprefix("sha256:")) or stored["1"]
        return registries.Answer(200, raw)

    server = double(answer)
    pauses: list[float] = []
    assert client(server, pauses=pauses).push(image) == image.digest
    assert pauses == [0.5, 1.0]
    assert {name: stored[name.removeprefix("sha256:")] for name in image.blobs} == image.blobs


def test_what_comes_back_after_a_push_is_compared(double: Start, tiny: bytes) -> None:
    other = Pulls(tiny + b"\0\1\0")

    def answer(seen: Any) -> Any:
        if seen.method == "HEAD":
            return registries.Answer(200)
        return registries.Answer(201) if seen.method == "PUT" else other(seen)

    with pytest.raises(RegistryError, match="is not what was pushed"):
        client(double(answer)).push(make_image(tiny, {}))


def test_blobs_that_are_not_what_they_should_be(double: Start, tiny: bytes) -> None:
    layer = Pulls(tiny).layer
    good = make_image(tiny, {}).blobs[layer.digest]
    for change, message in (
        (registries.Answer(200, good[:-1]), "is truncated"),
        (registries.Answer(200, good, cut=20), "is truncated"),
        (registries.Answer(200, good[:-1] + b"?"), "does not match its digest"),
        (registries.Answer(200, good + b"?"), "sent too much"),
    ):
        server = double(Pulls(tiny, blobs=change))
        with pytest.raises(PwasmError, match=message):
            client(server).blob(layer)


def test_a_manifest_that_is_not_the_one_asked_for(double: Start, tiny: bytes) -> None:
    server = double(Pulls(tiny))
    with pytest.raises(ImageError, match="sent a different image"):
        client(server).manifest("sha256:" + "0" * 64)


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"{}", b'{"layers": 1}', b"[" * 100_000, b"\xff"])
def test_manifests_that_are_none(pwasm: Pwasm, double: Start, tiny: bytes, body: bytes) -> None:
    server = double(Pulls(tiny, manifests=registries.Answer(200, body)))
    assert pwasm("pull", f"{server.address}/team/filter:1").code == 1


def test_credentials_do_not_follow_a_redirect(double: Start, tiny: bytes) -> None:
    """A blob may be stored at another host, which gets the request without our credentials."""
    pulls = Pulls(tiny)

    def kept(seen: Any) -> Any:
        return registries.Answer(200, pulls.image.blobs[seen.path.partition("?")[0].rpartition("/")[2]])

    def answer(seen: Any) -> Any:
        if "Authorization" not in seen.headers:
            return registries.Answer(401, headers=BASIC)
        where = f"http://{elsewhere.address}{seen.path}?signature=very-s3cret"
        return registries.Answer(307, headers={"Location": where}) if "/blobs/" in seen.path else pulls(seen)

    elsewhere, server = double(kept), double(answer)
    assert client(server, KNOWN).pull().blobs == pulls.image.blobs
    assert len(elsewhere.seen) == 2
    assert credentials_in(elsewhere.seen) == []
    assert set(credentials_in(server.seen)) == {"Basic " + base64.b64encode(b"anna:s3cret-word").decode()}


def test_an_error_does_not_show_the_query_of_a_redirect(double: Start, tiny: bytes) -> None:
    elsewhere = double(lambda seen: registries.Answer(403, b'{"errors":[{"code":"","message":"not s3cret-word"}]}'))

    def answer(seen: Any) -> Any:
        if "Authorization" not in seen.headers:
            return registries.Answer(401, headers=BASIC)
        return registries.Answer(302, headers={"Location": f"http://{elsewhere.address}/x?signature=very-hidden"})

    with pytest.raises(RegistryError) as caught:
        client(double(answer), KNOWN).manifest()
    assert "very-hidden" not in str(caught.value)
    assert "not ***" in caught.value.why


def test_uploads_elsewhere_get_no_credentials(double: Start, tiny: bytes) -> None:
    elsewhere = double(lambda seen: registries.Answer(403))

    def answer(seen: Any) -> Any:
        if "Authorization" not in seen.headers:
            return registries.Answer(401, headers=BASIC)
        if seen.method == "HEAD":
            return registries.Answer(404)
        return registries.Answer(202, headers={"Location": f"http://{elsewhere.address}/upload"})

    with pytest.raises(RegistryError, match="did not accept the blob"):
        client(double(answer), KNOWN).push(make_image(tiny, {}))
    assert [seen.method for seen in elsewhere.seen] == ["PUT"]
    assert credentials_in(elsewhere.seen) == []


def test_a_token_server_that_redirects_gets_no_identity_token(double: Start) -> None:
    elsewhere = double(lambda seen: registries.Answer(200, b'{"token":"t"}'))
    tokens = double(lambda seen: registries.Answer(307, headers={"Location": f"http://{elsewhere.address}/"}))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.address}/token",service="s"'}
    server = double(lambda seen: registries.Answer(401, headers=challenge))
    with pytest.raises(RegistryError, match="which must not get the credentials"):
        client(server, Credentials("<token>", identity_token="identity")).manifest()
    assert elsewhere.seen == []


@pytest.mark.parametrize("realm", ["", "here", "file:///etc/passwd", "ftp://127.0.0.1/"])
def test_a_realm_that_is_no_address(double: Start, realm: str) -> None:
    server = double(lambda seen: registries.Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))
    with pytest.raises(RegistryError, match="names no valid token server"):
        client(server, KNOWN).manifest()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token":1}', b'{"token":"a\\nb: c"}'])
def test_a_token_server_that_gives_none(double: Start, body: bytes) -> None:
    tokens = double(lambda seen: registries.Answer(200, body))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.address}/token",service="s"'}
    server = double(lambda seen: registries.Answer(401, headers=challenge))
    with pytest.raises(RegistryError, match="did not answer with a token"):
        client(server).manifest()


@pytest.mark.parametrize("header", [{}, {"WWW-Authenticate": "Negotiate"}, {"WWW-Authenticate": '"'}])
def test_other_ways_to_log_in(double: Start, header: dict[str, str]) -> None:
    server = double(lambda seen: registries.Answer(401, headers=header))
    with pytest.raises(RegistryError, match="scheme that pwasm does not support"):
        client(server, KNOWN).manifest()
    assert credentials_in(server.seen) == []


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="https://tokens.invalid/",service="s"'])
def test_nothing_secret_over_plain_http(double: Start, monkeypatch: pytest.MonkeyPatch, challenge: str) -> None:
    """Not even if requested. 127.0.0.1 is treated as another machine here, since there is no other."""
    server = double(lambda seen: registries.Answer(401, headers={"WWW-Authenticate": challenge}))
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    reference = parse_reference(f"{server.address}/team/filter:1")
    with pytest.raises(RegistryError, match="asks for credentials over plain HTTP"):
        Registry(reference, Transport(plain_http=True), credentials=lambda _: KNOWN).manifest()
    assert credentials_in(server.seen) == []


def test_anonymous_tokens_go_over_plain_http(double: Start, monkeypatch: pytest.MonkeyPatch, tiny: bytes) -> None:
    pulls = Pulls(tiny)
    tokens = double(lambda seen: registries.Answer(200, b'{"access_token":"for-all"}'))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.address}/token",service="s"'}
    server = double(lambda s: pulls(s) if "Authorization" in s.headers else registries.Answer(401, headers=challenge))
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    reference = parse_reference(f"{server.address}/team/filter:1")
    found = Registry(reference, Transport(plain_http=True), credentials=lambda _: None).manifest()
    assert (found.digest, set(credentials_in(server.seen))) == (pulls.image.digest, {"Bearer for-all"})


def test_tls_where_there_is_none(double: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = double(lambda seen: registries.Answer())
    monkeypatch.setattr(transport, "is_loopback", lambda host: False)
    with pytest.raises(RegistryError, match="does not speak TLS") as caught:
        client(server, KNOWN).manifest()
    assert ("--plain-http" in caught.value.hint, server.seen) == (True, [])


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/x", "file:///etc/passwd", "//", "https:///x", "https://["])
def test_redirects_that_are_not_followed(target: str) -> None:
    here = parse_url("https://registry.example.com/v2/")
    assert here is not None
    with pytest.raises(RegistryError, match="redirects"):
        Transport().target(here, target)


def test_redirects_without_end(double: Start) -> None:
    server = double(lambda seen: registries.Answer(302, headers={"Location": seen.path}))
    with pytest.raises(RegistryError, match="too many times"):
        client(server).manifest()
    assert len(server.seen) < 10


def test_a_blob_that_is_too_large_is_not_asked_for(double: Start, tiny: bytes) -> None:
    manifest = json.loads(make_image(tiny, {}).manifest.raw)
    manifest["layers"][0]["size"] = (256 << 20) + 1
    server = double(Pulls(tiny, manifests=registries.Answer(200, json.dumps(manifest).encode())))
    with pytest.raises(ImageError, match="larger than 256 MiB"):
        client(server).pull()
    assert [seen.path for seen in server.seen if manifest["layers"][0]["digest"] in seen.path] == []


def test_a_broken_connection_is_tried_again(double: Start, tiny: bytes) -> None:
    """The server ends the connection in the middle of its headers."""
    pulls, broken = Pulls(tiny), [True]

    def answer(seen: Any) -> Any:
        if broken:
            broken.pop()
            raise ConnectionResetError
        return pulls(seen)

    assert client(double(answer)).manifest().digest == pulls.image.digest
