"""Resources that hold headers: an EnvoyFilter in place of Istio's, an EnvoyPatchPolicy beside Envoy Gateway's."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler import held_headers
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import find_envoy
from pwasm_compiler.kube import resources
from pwasm_compiler.kube.kinds import KINDS
from pwasm_compiler.kube.resources import ResourceError
from pwasm_compiler.yaml_text import load_all
from tests.support.command_line import Pwasm
from tests.support.small_modules import holding_module

OPTION, VARIABLE = held_headers.OPTION, held_headers.VARIABLE
DIGEST = "0123456789abcdef" * 4
PIN = ["--image", "registry.example/hello:v1", "--sha256", f"sha256:{DIGEST}"]
GATEWAY = ["--kind", "EnvoyExtensionPolicy", "--namespace", "web", "--target", "Gateway/eg"]
EVERYTHING = {
    "EnvoyFilter": [
        "--kind", "EnvoyFilter", "--hold-headers", "--namespace", "web", "--selector", "app=httpbin",
        "--match", "CLIENT", "--match", "SERVER", "--plugin-config", '{"n": 12345678901234567890, "word": "né"}',
        "--root-id", "check", "--fail-strategy", "FAIL_OPEN", "--env", "MODE=on", "--env", "POD_NAME",
    ],
    "EnvoyPatchPolicy": [
        *GATEWAY, "--hold-headers", "--listener", "http", "--listener", "tcp-8443", "--pull-secret", "regcred",
        "--plugin-config", '{"a": 1.5}', "--env", "POD_NAME",
    ],
}  # fmt: skip


@pytest.fixture
def needing(tmp_path: Path) -> Callable[[str | None], Path]:
    """`needing("required")`: a filter's folder with a built module that says so."""

    def made(need: str | None) -> Path:
        folder = tmp_path / "hello"
        folder.mkdir(exist_ok=True)
        (folder / "filter.py").write_text("")
        holding_module(folder / "main.wasm", {"": need} if need else {})
        return folder

    return made


def kinds(out: str) -> list[str]:
    return [document["kind"] for document in load_all(out)]


def values(document: dict[str, Any]) -> dict[str, Any]:
    """The PluginConfig in an EnvoyFilter."""
    found: dict[str, Any] = document["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["value"]["config"]
    return found


@pytest.mark.parametrize("kind", EVERYTHING)
def test_everything_they_can_say(pwasm: Pwasm, kind: str, golden: Callable[[str, str], None]) -> None:
    result = pwasm("manifest", "--name", "hello", *PIN, *EVERYTHING[kind])
    assert result.code == 0, result.err
    golden(f"kube/{kind}.yaml", result.out)
    Path("printed.yaml").write_text(result.out)
    again = pwasm("manifest", "--check", "printed.yaml")
    assert (again.code, again.out) == (0, result.out)


@pytest.mark.parametrize(
    ("need", "options", "printed"),
    [
        (None, [], ["WasmPlugin"]),
        ("wanted", [], ["WasmPlugin"]),
        ("required", [], ["EnvoyFilter"]),
        ("wanted", ["--hold-headers"], ["EnvoyFilter"]),
        ("wanted", ["--kind", "EnvoyFilter"], ["EnvoyFilter"]),
        ("required", ["--no-hold-headers"], ["WasmPlugin"]),
        ("required", ["--kind", "TrafficExtension", "--no-hold-headers"], ["TrafficExtension"]),
        ("wanted", GATEWAY, ["EnvoyExtensionPolicy"]),
        ("required", [*GATEWAY, "--listener", "http"], ["EnvoyExtensionPolicy", "EnvoyPatchPolicy"]),
        ("wanted", [*GATEWAY, "--hold-headers", "--listener", "http"], ["EnvoyExtensionPolicy", "EnvoyPatchPolicy"]),
        ("wanted", ["--kind", "HigressWasmPlugin"], ["WasmPlugin"]),
        ("required", ["--kind", "HigressWasmPlugin", "--no-hold-headers"], ["WasmPlugin"]),
    ],
)
def test_what_is_printed_for_whom(
    pwasm: Pwasm, needing: Callable[[str | None], Path], need: str | None, options: list[str], printed: list[str]
) -> None:
    result = pwasm("manifest", needing(need), *PIN, *options)
    assert result.code == 0, result.err
    assert kinds(result.out) == printed
    held = {"EnvoyFilter", "EnvoyPatchPolicy"} & set(printed)
    assert (OPTION in result.out, VARIABLE in result.out) == (bool(held), bool(held))
    unheld = "does not hold headers: bodies are held in the module's own memory" in result.err
    assert unheld == (need == "wanted" and not held)
    assert ("this filter refuses to start" in result.err) == ("--no-hold-headers" in options)


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        (["--kind", "WasmPlugin"], "Istio WasmPlugin cannot hold headers", "use --kind EnvoyFilter, or accept it"),
        (["--kind", "TrafficExtension"], "Istio TrafficExtension cannot hold headers", "use --kind EnvoyFilter"),
        (["--kind", "HigressWasmPlugin"], "Higress WasmPlugin cannot hold headers", "accept it with --no-hold-headers"),
        (
            ["--kind", "EnvoyExtensionPolicy", "--target", "HTTPRoute/x"],
            "needs --namespace, --listener",
            "each of its listeners",
        ),
        ([*GATEWAY, "--target", "Gateway/x", "--listener", "http"], "needs --target Gateway/NAME", "name one Gateway"),
        (
            ["--kind", "EnvoyExtensionPolicy", "-n", "a", "--target", "HTTPRoute/x", "--listener", "http"],
            "does not support the target HTTPRoute",
            "use one of: Gateway",
        ),
    ],
)  # fmt: skip
def test_where_headers_must_be_held_and_cannot(
    pwasm: Pwasm, needing: Callable[[str | None], Path], options: list[str], what: str, hint: str
) -> None:
    result = pwasm("manifest", needing("required"), *PIN, *options)
    assert (result.code, result.out) == (2, "")
    assert what in result.err
    assert hint in result.err.partition("hint:")[2]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--phase", "AUTHN"], "Istio EnvoyFilter does not support --phase"),
        (["--match", "CLIENT:80"], "Istio EnvoyFilter does not support ports in --match"),
        (["--type", "NETWORK"], "Istio EnvoyFilter does not support --type"),
        (["--pull-secret", "x"], "Istio EnvoyFilter does not support --pull-secret"),
        (["--target", "Service/x"], "Istio EnvoyFilter does not support the target Service"),
        (["--listener", "http"], "Istio EnvoyFilter does not support --listener"),
        (["--env", f"{VARIABLE}=1"], f"{VARIABLE} is written together with {OPTION}"),
    ],
)
def test_what_an_envoy_filter_does_not_say(pwasm: Pwasm, options: list[str], what: str) -> None:
    result = pwasm("manifest", "--name", "x", "--hold-headers", *PIN, *options)
    assert (result.code, result.out) == (2, "")
    assert what in result.err


def test_an_envoy_filter_is_pinned(pwasm: Pwasm) -> None:
    result = pwasm("manifest", "--name", "x", "--hold-headers", "--image", "registry.example/hello:v1")
    assert result.code == 2
    assert "Istio EnvoyFilter needs a pinned image" in result.err
    out = pwasm("manifest", "--name", "x", "--hold-headers", "--image", "file:///opt/main.wasm", "--json").out
    assert values(json.loads(out))["vm_config"]["code"] == {"local": {"filename": "/opt/main.wasm"}}


def test_a_listener_without_held_headers_is_refused(pwasm: Pwasm) -> None:
    for options in ([*GATEWAY, "--listener", "http"], ["--listener", "http"]):
        result = pwasm("manifest", "--name", "x", *PIN, *options)
        assert result.code == 2
        assert "--listener" in result.err


def test_half_of_the_pair_is_refused(pwasm: Pwasm) -> None:
    document = json.loads(pwasm("manifest", "--name", "x", *PIN, "--hold-headers", "--json").out)
    for without_option in (True, False):
        half = copy.deepcopy(document)
        place, key = (values(half), OPTION) if without_option else (values(half)["vm_config"], "environment_variables")
        del place[key]
        with pytest.raises(ResourceError) as caught:
            resources.check(half)
        assert f"both or neither of {OPTION} and {VARIABLE}" in caught.value.why
    plain = json.loads(pwasm("manifest", "--name", "x", *PIN, "--kind", "EnvoyFilter", "--json").out)
    assert OPTION not in json.dumps(plain)
    resources.check(plain)
    _, patches = json.loads(
        pwasm("manifest", "--name", "x", *PIN, *GATEWAY, "--hold-headers", "--listener", "http", "--json").out
    )
    for number in (0, 1):
        half = copy.deepcopy(patches)
        del half["spec"]["jsonPatches"][number]
        with pytest.raises(ResourceError, match="Envoy Gateway EnvoyPatchPolicy"):
            resources.check(half)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("WasmPlugin", {"url": "oci://a/b:1", "vmConfig": {"env": [{"name": VARIABLE, "value": "1"}]}}),
        (
            "TrafficExtension",
            {"wasm": {"url": "oci://a/b:1", "vmConfig": {"env": [{"name": VARIABLE, "value": "1"}]}}},
        ),
        (
            "EnvoyExtensionPolicy",
            {
                "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "eg"}],
                "wasm": [
                    {"code": {"type": "Image", "image": {"url": "a/b:1"}}, "env": {"hostKeys": [VARIABLE]}},
                ],
            },
        ),
    ],
)
def test_the_variable_where_the_option_cannot_be(kind: str, spec: dict[str, Any]) -> None:
    api = KINDS[kind]
    with pytest.raises(ResourceError) as caught:
        resources.check({"apiVersion": api.api_version, "kind": api.kind, "metadata": {"name": "x"}, "spec": spec})
    assert f"{VARIABLE} needs {OPTION}" in caught.value.why


def test_what_may_surprise_is_said(pwasm: Pwasm) -> None:
    said = pwasm("manifest", "--name", "x", "--hold-headers", *PIN, "--target", "Gateway/eg").err
    assert "requires Istio 1.28 or later: in 1.27, there is no allow_on_headers_stop_iteration" in said
    assert "Istio warns that a wrong one can disturb a whole mesh" in said
    assert "does nothing in a waypoint" in said
    said = pwasm("manifest", "--name", "x", *PIN, *GATEWAY, "--hold-headers", "--listener", "http").err
    assert "requires Envoy Gateway 1.6 or later: in 1.5, there is no allow_on_headers_stop_iteration" in said
    assert "requires Envoy Gateway with extensionApis.enableEnvoyPatchPolicy" in said
    assert "It warns that it may stop working with a new release" in said


# -- what the products make of them, in a real Envoy


def validated(config: dict[str, Any], folder: Path) -> None:
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [str(find_envoy()), "--mode", "validate", "-c", "envoy.json", "--log-level", "warn"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.envoy
def test_envoy_takes_what_an_envoy_filter_carries(pwasm: Pwasm, tmp_path: Path) -> None:
    """As from the agent: the code is a file by then."""
    holding_module(tmp_path / "main.wasm", {})
    document = json.loads(pwasm("manifest", "--name", "x", *PIN, *EVERYTHING["EnvoyFilter"], "--json").out)
    extension = document["spec"]["configPatches"][0]["patch"]["value"]
    values(document)["vm_config"]["code"] = {"local": {"filename": "main.wasm"}}
    assert values(document)[OPTION] is True
    validated(bootstrap([HttpListener([extension])]), tmp_path)
    for patch in document["spec"]["configPatches"][1:]:
        assert patch["patch"]["value"]["name"] == extension["name"]


@pytest.mark.envoy
def test_envoy_takes_what_the_patches_make(pwasm: Pwasm, tmp_path: Path) -> None:
    """Applied as Envoy Gateway applies them: `jsonPath` selects, `path` is created below."""
    holding_module(tmp_path / "main.wasm", {})
    out = pwasm("manifest", "--name", "x", *PIN, *GATEWAY, "--hold-headers", "--listener", "http", "--json").out
    _, policy = json.loads(out)
    entry = WasmFilter("main.wasm", host_environment=["HOME"]).to_json()
    entry |= {"name": "envoy.filters.http.wasm/envoyextensionpolicy/web/x/wasm/0", "disabled": True}
    plugin = entry["typed_config"]["config"]
    for patch in policy["spec"]["jsonPatches"]:
        operation = patch["operation"]
        assert patch["name"] == "web/eg/http"
        assert operation["jsonPath"] == f"..http_filters[?(@.name=='{entry['name']}')].typed_config.config"
        *parents, last = operation["path"].split("/")
        place = plugin
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = operation["value"]
    assert plugin[OPTION] is True
    variables = {"key_values": {VARIABLE: "1"}, "host_env_keys": ["HOME"]}
    assert plugin["vm_config"]["environment_variables"] == variables
    validated(bootstrap([HttpListener([entry])]), tmp_path)
