"""The user's credentials for a registry: the files and helpers of Docker and Podman, read but never written.

The first that has an entry for the registry wins (the order of containers-auth.json(5), then Docker's):

    $REGISTRY_AUTH_FILE
    $XDG_RUNTIME_DIR/containers/auth.json, then ~/.config/containers/auth.json
    $DOCKER_CONFIG/config.json, else ~/.docker/config.json

In each: `credHelpers` (one program per registry), `auths`, `credsStore` (one program for all registries).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import RegistryError, ToolError

from .reference import DOCKER_HUB, Reference

_HELPER_TIMEOUT_SECONDS = 60  # it may prompt the user
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # https://github.com/docker/docker-credential-helpers: the secret is an identity token
_FILE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token; `repr` hides both secrets."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, in all of its encodings."""
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode() if self.password else ""
        return tuple(text for text in (self.password, self.identity_token, basic) if text)


def find_credentials(reference: Reference, environment: Mapping[str, str] | None = None) -> Credentials | None:
    """The credentials for the registry of `reference`, if there are any.

    Raises:
        RegistryError: a file or a helper's output is unusable; never includes its contents.
        ToolError: the configured helper is not installed.
    """
    environment = os.environ if environment is None else environment
    for file in auth_files(environment):
        table = _read(file)
        found = table and _from_table(table, file, reference, environment)
        if found:
            return found
    return None


def auth_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """The files in the order they are searched; some may not exist."""
    home = Path(environment.get("HOME") or Path.home())
    if environment.get("REGISTRY_AUTH_FILE"):
        yield Path(environment["REGISTRY_AUTH_FILE"])
    if environment.get("XDG_RUNTIME_DIR"):
        yield Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def _read(file: Path) -> dict[str, Any] | None:
    try:
        if not file.is_file():
            return None
        if file.stat().st_size > _FILE_LIMIT:
            raise RegistryError(f"{file} is too large for a credentials file")
        found = json.loads(file.read_bytes() or b"{}")
    except OSError as error:
        raise RegistryError(f"cannot read {file}", why=f"{error.strerror}.") from error
    except (ValueError, RecursionError):
        raise RegistryError(f"{file} is not JSON", hint="recreate it with: docker login REGISTRY") from None
    if not isinstance(found, dict):
        raise RegistryError(f"{file} is not a JSON object", hint="recreate it with: docker login REGISTRY")
    return found


def _from_table(
    table: dict[str, Any], file: Path, reference: Reference, environment: Mapping[str, str]
) -> Credentials | None:
    keys = _keys(reference)
    helper = _lookup(table.get("credHelpers"), keys)
    if isinstance(helper, str):
        return _ask(helper, reference, file, environment)
    entry = _lookup(table.get("auths"), keys)
    found = _from_entry(entry, file) if isinstance(entry, dict) else None
    store = table.get("credsStore")
    if found is None and isinstance(store, str) and store:
        return _ask(store, reference, file, environment)
    return found


def _keys(reference: Reference) -> list[str]:
    """Keys that a file may use for the registry, the most specific first (containers-auth.json(5))."""
    parts = reference.repository.split("/")
    spaces = ["/".join([reference.registry, *parts[:count]]) for count in range(len(parts), 0, -1)]
    hub = ["index.docker.io", "registry-1.docker.io"] if reference.registry == DOCKER_HUB else []
    return [*spaces, reference.registry, *hub]


def _lookup(table: object, keys: list[str]) -> object:
    if not isinstance(table, dict):
        return None
    # Docker's files may use https://host/v1/ where Podman's use host.
    named = {re.sub(r"/v[12]/?$|/$", "", re.sub(r"^https?://", "", str(key))): value for key, value in table.items()}
    return next((named[key] for key in keys if key in named), None)


def _from_entry(entry: dict[str, Any], file: Path) -> Credentials | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(_TOKEN_USER, identity_token=token)
    encoded = entry.get("auth")
    if not isinstance(encoded, str) or not encoded:
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise RegistryError(
            f"{file} has an entry 'auth' that is not user:password in base64",
            hint="recreate it with: docker login REGISTRY",
        )
    return Credentials(username, password.rstrip("\0"))


def _ask(helper: str, reference: Reference, file: Path, environment: Mapping[str, str]) -> Credentials | None:
    """The answer of `docker-credential-<helper> get`; its output is never shown."""
    if not _HELPER_NAME.fullmatch(helper):
        raise RegistryError(f"invalid credential helper name in {file}")
    program = f"docker-credential-{helper}"
    server = _DOCKER_HUB_KEY if reference.registry == DOCKER_HUB else reference.registry
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_TIMEOUT_SECONDS,
            check=False,
            env=dict(environment),
        )
    except FileNotFoundError:
        raise ToolError(
            f"{program} is not installed", why=f"{file} refers to it.", hint=f"install it, or correct {file}"
        ) from None
    except OSError as error:
        raise ToolError(f"{program} cannot be started", why=f"{error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"{program} did not answer within {_HELPER_TIMEOUT_SECONDS} s") from None
    if done.returncode:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise RegistryError(f"{program} failed", why=f"It exited with code {done.returncode}.")
    return _answer(done.stdout, program)


def _answer(output: bytes, program: str) -> Credentials:
    try:
        found = json.loads(output)
        username, secret = found["Username"], found["Secret"]
    except (ValueError, RecursionError, KeyError, TypeError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise RegistryError(f"unexpected output from the credential helper {program}")
    if username == _TOKEN_USER:
        return Credentials(username, identity_token=secret)
    return Credentials(username, secret)
