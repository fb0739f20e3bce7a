"""Where credentials are found: the files and helpers of Docker and Podman."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.errors import PwasmError, RegistryError, ToolError
from pwasm_compiler.oci.credentials import Credentials, find_credentials
from pwasm_compiler.oci.reference import parse_reference

REFERENCE = parse_reference("registry.example.com/team/filter:1")


def encoded(user: str, password: str = "s3cret-word") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """`files(docker=…, runtime=…, explicit=…)`: an environment with these files of credentials."""

    def write(**tables: Any) -> Mapping[str, str]:
        places = {
            "docker": ".docker/config.json",
            "runtime": "run/containers/auth.json",
            "podman": ".config/containers/auth.json",
            "explicit": "explicit.json",
            "elsewhere": "elsewhere/config.json",
        }
        for name, table in tables.items():
            file = tmp_path / places[name]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(table if isinstance(table, str) else json.dumps(table))
        found = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "PATH": str(tmp_path / "bin")}
        found |= {"REGISTRY_AUTH_FILE": str(tmp_path / "explicit.json")} if "explicit" in tables else {}
        return found | ({"DOCKER_CONFIG": str(tmp_path / "elsewhere")} if "elsewhere" in tables else {})

    return write


@pytest.fixture
def helper(tmp_path: Path) -> Any:
    """`helper(name, script)`: a credential helper (a double) on PATH."""

    def write(name: str, script: str) -> None:
        file = tmp_path / "bin" / f"docker-credential-{name}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\nread -r server\n{script}\n")
        file.chmod(0o755)

    return write


def user(environment: Mapping[str, str], reference: str = "") -> str | None:
    found = find_credentials(parse_reference(reference) if reference else REFERENCE, environment)
    return found.username if found else None


def test_the_order_of_the_files(files: Any) -> None:
    def table(name: str) -> dict[str, Any]:
        return {"auths": {"registry.example.com": encoded(name)}}

    names = ("elsewhere", "docker", "podman", "runtime", "explicit")
    assert user(files()) is None
    assert user(files(docker=table("docker"))) == "docker"
    assert user(files(docker=table("docker"), elsewhere=table("elsewhere"))) == "elsewhere"
    assert user(files(podman=table("podman"))) == "podman"
    assert user(files(runtime=table("runtime"))) == "runtime"
    assert user(files(**{name: table(name) for name in names})) == "explicit"


@pytest.mark.parametrize(
    ("key", "reference", "found"),
    [
        ("registry.example.com", "registry.example.com/a", True),
        ("https://registry.example.com", "registry.example.com/a", True),
        ("https://registry.example.com/v2/", "registry.example.com/a", True),
        ("registry.example.com:443", "registry.example.com/a", False),
        ("registry.example.com", "registry.example.com.evil.org/a", False),
        ("registry.example.com", "evil-registry.example.com/a", False),
        ("registry.example.com/team", "registry.example.com/team/filter", True),
        ("registry.example.com/team", "registry.example.com/teams/filter", False),
        ("https://index.docker.io/v1/", "anna/filter", True),
        ("docker.io", "anna/filter", True),
    ],
)
def test_which_entry_is_for_which_registry(files: Any, key: str, reference: str, found: bool) -> None:
    assert (user(files(docker={"auths": {key: encoded("anna")}}), reference) == "anna") is found


def test_the_most_particular_entry(files: Any) -> None:
    auths = {"registry.example.com": encoded("all"), "registry.example.com/team": encoded("team")}
    assert user(files(docker={"auths": auths})) == "team"
    assert user(files(docker={"auths": auths}), "registry.example.com/other") == "all"


def test_a_password_with_colons_and_no_secret_in_repr(files: Any) -> None:
    environment = files(docker={"auths": {"registry.example.com": encoded("anna", "a:b:c")}})
    found = find_credentials(REFERENCE, environment)
    assert found == Credentials("anna", "a:b:c")
    assert "a:b:c" not in repr(found)
    environment = files(docker={"auths": {"registry.example.com": {"identitytoken": "t0ken"}}})
    token = find_credentials(REFERENCE, environment)
    assert token is not None
    assert (token.identity_token, "t0ken" in repr(token)) == ("t0ken", False)


@pytest.mark.programs
def test_helpers(files: Any, helper: Any) -> None:
    helper("all", 'echo "{\\"ServerURL\\":\\"$server\\",\\"Username\\":\\"$server\\",\\"Secret\\":\\"x\\"}"')
    helper("one", 'echo \'{"Username":"<token>","Secret":"t0ken"}\'')
    helper("none", "echo credentials not found in native keychain; exit 1")
    assert user(files(docker={"credsStore": "all"})) == "registry.example.com"
    assert user(files(docker={"credsStore": "all"}), "anna/filter") == "https://index.docker.io/v1/"
    both = {"credsStore": "all", "credHelpers": {"registry.example.com": "one"}}
    found = find_credentials(REFERENCE, files(docker=both))
    assert found is not None
    assert found.identity_token == "t0ken"
    assert user(files(docker={"credsStore": "none"})) is None
    assert user(files(docker={"credsStore": "none", "auths": {"registry.example.com": {}}})) is None


@pytest.mark.programs
@pytest.mark.parametrize("script", ["echo s3cret-word; exit 3", "echo s3cret-word", "echo '{}'", "echo '[]'", "true"])
def test_helpers_that_fail(files: Any, helper: Any, script: str) -> None:
    helper("bad", script)
    with pytest.raises(RegistryError) as caught:
        user(files(docker={"credsStore": "bad"}))
    assert "docker-credential-bad" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.programs
def test_helpers_that_are_not_there(files: Any) -> None:
    with pytest.raises(ToolError, match="docker-credential-missing is not installed"):
        user(files(docker={"credsStore": "missing"}))
    with pytest.raises(RegistryError, match="invalid credential helper name"):
        user(files(docker={"credsStore": "../../bin/sh"}))


@pytest.mark.parametrize(
    "table",
    [
        "{s3cret-word",
        "[]",
        "[" * 100_000,
        {"auths": {"registry.example.com": {"auth": "s3cret-word"}}},
        {"auths": {"registry.example.com": {"auth": base64.b64encode(b"no colon").decode()}}},
    ],
)
def test_files_that_are_damaged(files: Any, table: Any) -> None:
    with pytest.raises(PwasmError) as caught:
        user(files(docker=table))
    assert "config.json" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.parametrize("table", ["", "{}", {"auths": []}, {"auths": {"registry.example.com": 1}}, {"credsStore": 1}])
def test_files_that_know_nothing(files: Any, table: Any) -> None:
    assert user(files(docker=table)) is None
