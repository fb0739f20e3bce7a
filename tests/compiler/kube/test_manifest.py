"""`pwasm manifest`: its output for each kind, and the errors it detects before anything is applied."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pwasm_compiler import config_check
from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.kube import resources
from pwasm_compiler.kube.resources import ResourceError
from pwasm_compiler.yaml_text import YamlError, dump, load_all
from tests.support.command_line import Pwasm
from tests.support.paths import HELLO_WORLD
from tests.support.small_modules import http_module

DIGEST = "0123456789abcdef" * 4
PIN = ["--image", "registry.example/hello:v1", "--sha256", f"sha256:{DIGEST}"]

# What the tutorial applies, with the two fields it leaves to the reader.
TUTORIAL = """\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: httpbin-filter
spec:
  selector:
    matchLabels:
      app: httpbin
  url: oci://registry.example/wasm:v1
"""


EVERYTHING: dict[str, list[str]] = {
    "WasmPlugin": [
        "--namespace", "web", "--selector", "app=httpbin", "--selector", "version=1", "--phase", "AUTHN",
        "--priority", "10", "--match", "SERVER:80,8080", "--plugin-config", '{"header": "y", "limit": 3, "n": null}',
        "--root-id", "check", "--fail-strategy", "FAIL_RELOAD", "--env", "MODE=on", "--env", "POD_NAME",
        "--pull-secret", "regcred", "--pull-policy", "IfNotPresent", "--type", "HTTP",
    ],
    "TrafficExtension": [
        "--target", "Gateway/waypoint", "--target", "Service/httpbin", "--phase", "STATS", "--priority", "-1",
        "--plugin-config", '{"a": [1, "1"]}', "--fail-strategy", "FAIL_CLOSE", "--match", "CLIENT",
    ],
    "EnvoyExtensionPolicy": [
        "--ca", "ConfigMap/registry-ca", "--target", "Gateway/eg", "--target", "HTTPRoute/backend",
        "--plugin-config", '{"a": 1.5}', "--env", "POD_NAME",
        "--fail-strategy", "FAIL_OPEN", "--pull-secret", "regcred", "--root-id", "r", "--pull-policy", "Always",
    ],
    "HigressWasmPlugin": [
        "--namespace", "higress-system", "--phase", "AUTHZ", "--priority", "300", "--plugin-config", '{"a": true}',
        "--fail-strategy", "FAIL_OPEN", "--env", "A=",
    ],
}  # fmt: skip


@pytest.mark.programs
@pytest.mark.parametrize("kind", EVERYTHING)
def test_everything_a_kind_can_say(pwasm: Pwasm, kind: str, golden: Callable[[str, str], None]) -> None:
    result = pwasm("manifest", HELLO_WORLD, "--kind", kind, *PIN, *EVERYTHING[kind])
    assert result.code == 0, result.err
    golden(f"kube/{kind}.yaml", result.out)
    (document,) = load_all(result.out)
    assert json.loads(pwasm("manifest", HELLO_WORLD, "--kind", kind, *PIN, *EVERYTHING[kind], "--json").out) == document


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [("WasmPlugin", "FAIL_RELOAD"), ("TrafficExtension", "FAIL_RELOAD"), ("HigressWasmPlugin", None)],
)
def test_after_a_crash_istio_makes_a_new_vm_unless_told_otherwise(
    pwasm: Pwasm, kind: str, strategy: str | None
) -> None:
    spec = json.loads(pwasm("manifest", "--name", "x", "--kind", kind, *PIN, "--json").out)["spec"]
    assert spec.get("wasm", spec).get("failStrategy") == strategy


def test_a_digest_in_the_reference_is_the_pin(pwasm: Pwasm) -> None:
    result = pwasm("manifest", "--name", "x", "--image", f"registry.example/hello@sha256:{DIGEST}", "--json")
    assert json.loads(result.out)["spec"]["sha256"] == DIGEST
    assert "pinned" not in result.err
    other = pwasm("manifest", "--name", "x", "--image", f"r.example/hello@sha256:{DIGEST}", "--sha256", "0" * 64)
    assert (other.code, "differ" in other.err) == (2, True)


def test_the_digest_of_a_layout(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "layout").mkdir()
    index = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{DIGEST}", "size": 1}]}
    (tmp_path / "layout" / "index.json").write_text(json.dumps(index))
    result = pwasm("manifest", "--name", "x", "--image", "r.example/hello:1", "--layout", "layout", "--json")
    assert json.loads(result.out)["spec"]["sha256"] == DIGEST
    (tmp_path / "layout" / "index.json").write_text('{"manifests": []}')
    assert pwasm("manifest", "--name", "x", "--image", "r.example/hello:1", "--layout", "layout").code == 2


def test_a_module_on_a_plain_server_for_envoy_gateway(pwasm: Pwasm) -> None:
    options = ["--kind", "EnvoyExtensionPolicy", "--target", "Gateway/eg", "--name", "x", "--sha256", DIGEST]
    result = pwasm("manifest", *options, "--image", "https://example.com/main.wasm", "--json")
    code = json.loads(result.out)["spec"]["wasm"][0]["code"]
    assert code == {"type": "HTTP", "http": {"url": "https://example.com/main.wasm", "sha256": DIGEST}}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--image", "r/x:1"], "is not pinned"),
        ([*PIN, "--fail-strategy", "FAIL_OPEN"], "not for access control"),
        ([*PIN, "--fail-strategy", "FAIL_RELOAD"], "requires Istio 1.27 or later"),
        ([*PIN, "--plugin-config", '{"a": [9007199254740993]}'], "9007199254740993"),
        ([*PIN, "--kind", "TrafficExtension"], "Istio 1.30"),
    ],
)
def test_what_may_surprise_is_said(pwasm: Pwasm, options: list[str], said: str) -> None:
    result = pwasm("manifest", "--name", "x", *options)
    assert result.code == 0
    assert said in result.err
    assert "warning" not in result.out


def test_the_tutorials_resource_passes(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "plugin.yaml").write_text(TUTORIAL)
    result = pwasm("manifest", "--check", "plugin.yaml")
    assert result.code == 0
    assert load_all(result.out) == load_all(TUTORIAL)


MISSPELT = [
    # a change to what EVERYTHING makes → what is said
    ("WasmPlugin", ["spec", "failStrategey"], "FAIL_OPEN", "no field 'failStrategey'; did you mean 'failStrategy'?"),
    ("WasmPlugin", ["spec", "failStrategy"], "FAIL_CLOSED", '"FAIL_CLOSED", but must be'),
    ("WasmPlugin", ["spec", "phase"], "authn", "did you mean 'AUTHN'?"),
    ("WasmPlugin", ["spec", "priority"], "10", 'a string, "10", but must be an integer'),
    ("WasmPlugin", ["spec", "sha256"], f"sha256:{DIGEST}", "spec.sha256"),
    ("WasmPlugin", ["spec", "pluginConfig"], "text", "spec.pluginConfig is a string"),
    ("WasmPlugin", ["spec", "selector", "matchlabels"], {}, "did you mean 'matchLabels'?"),
    ("WasmPlugin", ["spec", "selector", "matchLabels", "app"], True, "spec.selector.matchLabels.app is a boolean"),
    (
        "WasmPlugin",
        ["spec", "vmConfig", "env"],
        [{"name": "A"}, {"name": "A"}],
        "spec.vmConfig.env has name A more than once",
    ),
    ("WasmPlugin", ["spec", "vmConfig", "env"], [{"name": "A", "value": "1", "valueFrom": "HOST"}], "valueFrom HOST"),
    ("WasmPlugin", ["spec", "vmConfig", "env"], [{"value": "1"}], "missing the required field 'name'"),
    ("WasmPlugin", ["spec", "targetRefs"], [{"kind": "Gateway", "name": "x"}], "must not have more than one"),
    ("WasmPlugin", ["spec", "match"], [{"ports": [{"number": 0}]}], "spec.match[0].ports[0].number is 0"),
    ("WasmPlugin", ["spec", "url"], "ftp://x/y", "spec.url"),
    ("WasmPlugin", ["metadata", "name"], "Hello_World", "metadata.name"),
    ("WasmPlugin", ["metadata", "lables"], {}, "did you mean 'labels'?"),
    ("WasmPlugin", ["sepc"], {}, "no field 'sepc'; did you mean 'spec'?"),
    ("WasmPlugin", ["apiVersion"], "extensions.istio.io/v1", "did you mean extensions.istio.io/v1alpha1 WasmPlugin"),
    ("WasmPlugin", ["kind"], "WasmPlugins", "is not a resource that carries a filter"),
    ("TrafficExtension", ["spec", "url"], "oci://r/x:1", "spec has no field 'url'"),
    ("TrafficExtension", ["spec", "lua"], {"inlineCode": "x"}, "exactly one of wasm and lua"),
    ("TrafficExtension", ["spec", "wasm", "failstrategy"], "x", "did you mean 'failStrategy'?"),
    ("EnvoyExtensionPolicy", ["spec", "targetRefs"], [], "must have targetRefs"),
    ("EnvoyExtensionPolicy", ["spec", "wasm", 0, "failopen"], True, "did you mean 'failOpen'?"),
    ("EnvoyExtensionPolicy", ["spec", "wasm", 0, "code", "type"], "HTTP", "must have exactly the field http"),
    ("EnvoyExtensionPolicy", ["spec", "targetRefs", 0, "kind"], "Service", "must have targetRefs of a kind of"),
    ("HigressWasmPlugin", ["spec", "selector"], {}, "spec has no field 'selector'"),
    ("HigressWasmPlugin", ["spec", "failStrategy"], "FAIL_RELOAD", "FAIL_RELOAD"),
    ("HigressWasmPlugin", ["spec", "matchRules"], [{"domains": ["x"]}], "did you mean 'domain'?"),
]


@pytest.mark.parametrize(("kind", "path", "value", "said"), MISSPELT)
def test_a_wrong_resource_is_refused(
    pwasm: Pwasm, tmp_path: Path, kind: str, path: list[Any], value: Any, said: str
) -> None:
    document = json.loads(pwasm("manifest", "--name", "x", "--kind", kind, *PIN, *EVERYTHING[kind], "--json").out)
    place = document
    for key in path[:-1]:
        place = place[key]
    assert resources.check(copy.deepcopy(document))
    place[path[-1]] = value
    (tmp_path / "x.yaml").write_text(dump(document))
    result = pwasm("manifest", "--check", "x.yaml")
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_every_problem_is_said_up_to_eight() -> None:
    document = {"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": {"name": "x"}}
    with pytest.raises(ResourceError) as caught:
        resources.check({**document, "spec": {"url": "r/x:1", **{f"unknown{n}": 1 for n in range(10)}}})
    assert len(caught.value.why.splitlines()) == 9
    assert caught.value.why.endswith("and 2 more")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--name", "x"], 2, "--image is missing"),
        (["nowhere", *PIN], 2, "nowhere: no such file or directory"),
        (["--name", "Not_A_Name", *PIN], 1, "metadata.name"),
        (["--name", "x", "--image", "r/x:1", "--sha256", "beef"], 2, "not a SHA-256 digest"),
        (["--name", "x", "--image", "r/x 1"], 2, "'r/x 1' is not a valid image reference"),
        (["--name", "x", "--image", "https://r x/y.wasm"], 1, "spec.url"),
        (["--name", "x", *PIN, "--selector", "app"], 2, "LABEL=VALUE"),
        (["--name", "x", *PIN, "--target", "Gateway"], 2, "KIND/NAME"),
        (["--name", "x", *PIN, "--target", "Gatewey/x"], 2, "does not support the target Gatewey"),
        (["--name", "x", *PIN, "--selector", "a=b", "--target", "Gateway/x"], 2, "are mutually exclusive"),
        (["--name", "x", *PIN, "--match", "BOTH"], 2, "invalid match"),
        (["--name", "x", *PIN, "--match", "CLIENT:70000"], 1, "70000"),
        (["--name", "x", *PIN, "--match", "CLIENT:80,81,80"], 2, "names port 80 twice"),
        (["--name", "x", *PIN, "--ca", "Secret/x"], 2, "Istio WasmPlugin does not support --ca"),
        (["--name", "x", *PIN, "--kind", "EnvoyExtensionPolicy", "--ca", "Pod/x"], 2, "Secret, ConfigMap"),
        (["--name", "x", *PIN, "--env", "=1"], 2, "invalid variable"),
        (["--name", "x", *PIN, "--kind", "EnvoyExtensionPolicy"], 1, "targetRefs (--target KIND/NAME)"),
        (["--name", "x", *PIN, "--kind", "EnvoyExtensionPolicy", "--phase", "AUTHN"], 2, "does not support --phase"),
        (["--name", "x", *PIN, "--kind", "EnvoyExtensionPolicy", "--env", "A=1"], 2, "--env NAME"),
        (["--name", "x", *PIN, "--kind", "EnvoyExtensionPolicy", "--fail-strategy", "FAIL_RELOAD"], 2, "FAIL_RELOAD"),
        (["--name", "x", *PIN, "--kind", "HigressWasmPlugin", "--selector", "a=b"], 2, "matchRules"),
        (["--name", "x", *PIN, "--layout", "l"], 2, "are mutually exclusive"),
        (["--name", "x", "--image", "r/x:1", "--layout", "nowhere"], 2, "pwasm package"),
        (["--name", "x", *PIN, "--plugin-config", "nowhere.json"], 2, "nowhere.json: no such file or directory"),
        (["--name", "x", *PIN, "--plugin-config", "{"], 2, "not valid JSON"),
        (["--name", "x", *PIN, "--plugin-config", '{"a": 1, "a": 2}'], 2, "duplicate key 'a'"),
        (["--check", "nowhere.yaml"], 2, "nowhere.yaml: no such file or directory"),
        (["--check", "x.yaml", "--priority", "0"], 2, "are mutually exclusive"),
    ],
)
def test_bad_calls(pwasm: Pwasm, arguments: list[str], code: int, said: str) -> None:
    result = pwasm("manifest", *arguments)
    assert (result.code, result.out) == (code, ""), result
    assert said in result.err


# Words that one of the three YAML readers (Python's, Go's, Envoy's) takes for something else than a string.
WORDS = ["y", "n", "on", "off", "yes", "NO", "true", "null", "~", "", "1e3", "0x10", "0123", "1_000", "1:30", ".5", "=",
         "2026-11-24", "{a", "- x", "# x", "a: b", "ü", "a\nb", "\ttab", '"q"', "\\", "<<"]  # fmt: skip


def test_every_string_is_in_quotes_and_comes_back() -> None:
    document = {"values": WORDS, **dict.fromkeys(WORDS, "x")}
    text = dump(document)
    assert load_all(text) == [document]
    for line in text.splitlines()[1 : len(WORDS) + 1]:
        assert line.startswith('- "'), line
    assert "\ny:" not in text
    assert yaml.safe_load(text) == document


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "line 2: duplicate key 'a'"),
        ("on: 1\n", "is not a string"),
        ("1: 1\n", "is not a string"),
        ("a: &a {x: 1}\nb: {<<: *a}\n", "merge keys"),
        (BOMB, "expands to more than"),
        ("a: &a [*a]\n", "contains itself"),
        ("[" * 5000, "nest"),
        ("a: [1\n", "line 2"),
        ("a: !!python/object:os.system x\n", "line 1"),
        ("a: \x00\n", "not valid YAML"),
        ("x" * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_yaml_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(YamlError) as caught:
        load_all(text)
    assert said in str(caught.value)


def test_dates_stay_what_they_look_like() -> None:
    assert load_all("a: 2026-11-24\n") == [{"a": "2026-11-24"}]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"header": {"type": "string"}, "limit": {"type": "integer", "minimum": 0}},
    "required": ["header"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"header": "x", "limt": 1}', "no field 'limt'; did you mean 'limit'?"),
        ('{"limit": 1}', "missing the required field 'header'"),
        ('{"header": 1}', "header is an integer, 1, but must be a string"),
        ('{"header": "x", "limit": -1}', "less than 0"),
        ('{"header": "x", "limit": 1.5}', "must be an integer"),
    ],
)
def test_a_configuration_that_fails_the_schema(pwasm: Pwasm, tmp_path: Path, config: str, said: str) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    fine = pwasm("manifest", "--name", "x", *PIN, "--plugin-config", '{"header": "x"}', "--schema", "schema.json")
    assert fine.code == 0
    result = pwasm("manifest", "--name", "x", *PIN, "--plugin-config", config, "--schema", "schema.json")
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_a_schema_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "objekt"}')
    with pytest.raises(PwasmError, match="not a JSON schema"):
        config_check.read_schema(tmp_path / "schema.json")


FILTER = """
from dataclasses import dataclass
import pwasm


@dataclass
class Config:
    header: str
    limit: int = 3

    def __post_init__(self) -> None:
        if self.limit == 13:
            raise ValueError("13 brings bad luck")


class Plugin(pwasm.PluginContext):
    config: Config


class Filter(pwasm.HttpContext):
    plugin: Plugin


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Filter)
"""


@pytest.mark.programs
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"headr": "x"}', "did you mean header?"),
        ('{"header": "x", "limit": "y"}', "$.limit"),
        ('{"header": "x", "limit": 13}', "13 brings bad luck"),  # what no schema can say
    ],
)
@pytest.mark.parametrize("command", ["manifest", "config"])
def test_the_filters_own_class_decides(pwasm: Pwasm, tmp_path: Path, command: str, config: str, said: str) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "filter.py").write_text(FILTER)
    http_module(tmp_path / "hello" / "main.wasm")
    options = PIN if command == "manifest" else []
    assert pwasm(command, "hello", *options, "--plugin-config", '{"header": "x"}').code == 0
    result = pwasm(command, "hello", *options, "--plugin-config", config)
    assert (result.code, result.out) == (1, "")
    assert said in result.err


@pytest.mark.programs
def test_a_filter_that_declares_none_takes_any(pwasm: Pwasm) -> None:
    assert pwasm("manifest", HELLO_WORLD, *PIN, "--plugin-config", '{"any": "thing"}').code == 0


def test_a_filter_in_go_takes_any(pwasm: Pwasm, tmp_path: Path) -> None:
    """It cannot be asked for its type; a JSON schema decides if there is one."""
    (tmp_path / "go").mkdir()
    (tmp_path / "go" / "go.mod").write_text("module example.org/hello\n")
    given = pwasm("manifest", "go", *PIN, "--plugin-config", '{"any": "thing"}', "--json")
    assert (given.code, json.loads(given.out)["spec"]["pluginConfig"]) == (0, {"any": "thing"})
    (tmp_path / "schema.json").write_text('{"required": ["header"]}')
    refused = pwasm("manifest", "go", *PIN, "--plugin-config", '{"any": "thing"}', "--schema", "schema.json")
    assert (refused.code, "header" in refused.err) == (1, True)


def test_a_resource_takes_mappings_only(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("plain text")
    (tmp_path / "c.yaml").write_text("- a list\n")
    for name in ("c.txt", "c.yaml"):
        result = pwasm("manifest", "--name", "x", *PIN, "--plugin-config", name)
        assert (result.code, "in a Kubernetes resource must be" in result.err) == (1, True)


def test_a_configuration_from_a_file(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("header: y\nsince: 2026-01-01\n")
    result = pwasm("manifest", "--name", "x", *PIN, "--plugin-config", "c.yaml", "--json")
    assert json.loads(result.out)["spec"]["pluginConfig"] == {"header": "y", "since": "2026-01-01"}
    (tmp_path / "c.yaml").write_bytes(b"a: \xff")
    assert pwasm("manifest", "--name", "x", *PIN, "--plugin-config", "c.yaml").code == 1


def test_the_name_comes_from_the_filter(pwasm: Pwasm, tmp_path: Path) -> None:
    shutil.copytree(HELLO_WORLD, tmp_path / "My Filter", ignore=shutil.ignore_patterns("*.wasm*", "pyproject.toml"))
    result = pwasm("manifest", "My Filter", *PIN, "--json")
    assert json.loads(result.out)["metadata"]["name"] == "my-filter"
    with pytest.raises(UsageError, match="cannot derive a resource name"):
        resources.resource_name("___")
