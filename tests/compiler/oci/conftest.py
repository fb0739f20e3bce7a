"""Registries, a tiny module, and a home without anybody's credentials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.support import registries
from tests.support.command_line import Pwasm, Result

TINY = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32)))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for this test alone."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def log_in(home: Path) -> Callable[..., None]:
    """`log_in(registry, auth=…)`: an entry as `docker login` writes it."""

    def write(registry: str, **entry: str) -> None:
        file = home / ".docker" / "config.json"
        file.parent.mkdir(exist_ok=True)
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"auths": {}}
        found["auths"][registry] = entry
        file.write_text(json.dumps(found))

    return write


@pytest.fixture
def pwasm(pwasm: Pwasm, home: Path) -> Pwasm:
    """The same in a home without credentials; no output holds the password."""

    def call(*arguments: str | Path) -> Result:
        result = pwasm(*arguments)
        assert registries.PASSWORD not in result.out + result.err
        return result

    return call


@pytest.fixture(scope="session")
def tiny() -> bytes:
    """A module that Envoy would load, of a few hundred bytes."""
    return bytes(wasmtime.wat2wasm(TINY))


@pytest.fixture
def tiny_file(tiny: bytes, tmp_path: Path) -> Path:
    """`tiny` as tmp_path/tiny.wasm."""
    file = tmp_path / "tiny.wasm"
    file.write_bytes(tiny)
    return file


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    found: tuple[Path, Path] = registries.make_certificate(tmp_path_factory.mktemp("certificate"))
    return found


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real registry without authentication."""
    yield from _running(registries.Registry(tmp_path_factory.mktemp("open")))


@pytest.fixture(scope="session")
def basic_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real registry that asks for a user and a password."""
    folder = tmp_path_factory.mktemp("basic")
    yield from _running(registries.Registry(folder, auth=registries.htpasswd(folder)))


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Any]:
    """A real registry over TLS with an untrusted certificate."""
    yield from _running(registries.Registry(tmp_path_factory.mktemp("tls"), tls=certificate))


@pytest.fixture(scope="session")
def token_server(certificate: tuple[Path, Path]) -> Iterator[Any]:
    """A double of a token server."""
    yield from _running(registries.TokenServer(*certificate))


@pytest.fixture(scope="session")
def token_registry(tmp_path_factory: pytest.TempPathFactory, token_server: Any) -> Iterator[Any]:
    """A real registry that asks for tokens."""
    yield from _running(registries.Registry(tmp_path_factory.mktemp("token"), auth=token_server.settings()))


@pytest.fixture
def double() -> Iterator[Callable[..., Any]]:
    """`double(answer)`: a server that answers what the function says; not a registry."""
    started: list[Any] = []

    def start(answer: Callable[[Any], Any]) -> Any:
        started.append(registries.Double(answer))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def _running(server: Any) -> Iterator[Any]:
    yield server
    server.stop()
