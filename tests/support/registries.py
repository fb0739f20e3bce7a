"""Registries for the tests: Debian's real `docker-registry` on loopback, and doubles where a real one will not do.

Registry          the real one: open, with htpasswd, with tokens, or over TLS
TokenServer       a double: the server that gives out tokens for the real registry, signed with openssl
Double            a double: a server that answers as a test wants it, for faults a real one does not have
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

USER, PASSWORD = "anna", "s3cret-word"
_HTPASSWD = "anna:$2b$04$UuIqaKoxFlMOg9siwkDeMue90G3rZxwZz1SA3uyJdehdOkq4ACJH.\n"
SERVICE, ISSUER = "test registry", "test issuer"
_DEADLINE_SECONDS = 30


def program(name: str) -> str:
    """The path of a program; a missing one is a failure, and says how to get it."""
    found = shutil.which(name)
    assert found, f"these tests need {name}: apt-get install docker-registry skopeo umoci openssl"
    return found


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, which also sign tokens."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=pwasm tests", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program("openssl"), "req", *kind, *subject, *files], check=True, capture_output=True)
    return certificate, key


class Registry:
    """The real one, on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, *, auth: Mapping[str, Any] | None = None, tls: tuple[Path, Path] | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "for tests"}
        if tls:
            http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
        config = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "store")}, "delete": {"enabled": True}},
            "http": http,
            **({"auth": dict(auth)} if auth else {}),
        }
        self.folder = folder
        file = folder / "config.yml"
        file.write_text(json.dumps(config))
        self.log = folder / "registry.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([program("docker-registry"), "serve", str(file)], stdout=log, stderr=log)
        self.address = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while time.monotonic() < deadline:
            text = self.log.read_text(errors="replace")
            match = re.search(r"listening on (127\.0\.0\.1:\d+)", text)
            if match:
                return match[1]
            assert self._process.poll() is None, text
            time.sleep(0.02)
        raise AssertionError(f"the registry did not start:\n{self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def htpasswd(folder: Path) -> dict[str, Any]:
    """Settings for a registry that asks for Basic credentials."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "pwasm tests", "path": str(folder / "htpasswd")}}


@dataclass(frozen=True)
class Seen:
    """A request that a double has had."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a double answers; `cut` closes the connection after that many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


class Double:
    """A server that responds with the result of `answer`; not a registry."""

    def __init__(self, answer: Callable[[Seen], Answer]) -> None:
        self.seen: list[Seen] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, dict(self.headers.items()), body)
                double.seen.append(seen)
                found = answer(seen)
                self.send_response(found.status)
                for name, value in {"Content-Length": str(len(found.body)), **found.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(found.body[: found.cut])
                self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = respond  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TokenServer(Double):
    """A double of the token server of a real registry; it takes USER and PASSWORD, or the identity token `identity`.

    Without credentials it gives out tokens to pull.
    """

    identity = "identity-t0ken"

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(self._give)
        self._certificate, self._key = certificate, key

    def settings(self) -> dict[str, Any]:
        """The registry's settings for this server."""
        realm = f"http://{self.address}/token"
        bundle = str(self._certificate)
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}}

    def _give(self, seen: Seen) -> Answer:
        question = parse_qs(urlsplit(seen.path).query) | parse_qs(seen.body.decode())
        given = seen.headers.get("Authorization")
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        refresh = question.get("refresh_token")
        if given not in (None, expected) or refresh not in (None, [self.identity]) or question["service"] != [SERVICE]:
            return Answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}')
        kind, name, actions = question["scope"][0].split(":")
        allowed = actions.split(",") if given or refresh else ["pull"]
        access = [{"type": kind, "name": name, "actions": allowed}]
        return Answer(200, json.dumps({"token": self._token(access)}).encode())

    def _token(self, access: list[dict[str, Any]]) -> str:
        pem = self._certificate.read_text()
        chain = "".join(pem.split("-----")[2].split())
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": USER,
            "aud": SERVICE,
            "exp": now + 300,
            "nbf": now - 60,
            "iat": now,
            "jti": "1",
            "access": access,
        }
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        text = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        sign = [program("openssl"), "dgst", "-sha256", "-sign", str(self._key)]
        signature = subprocess.run(sign, input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
