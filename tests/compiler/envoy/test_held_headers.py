"""Headers that are held: Envoy's option and the SDK's variable, which nothing may write one without the other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from pwasm_compiler import held_headers
from pwasm_compiler.build.module_record import ModuleRecord
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap, version_of
from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.envoy.process import Envoy, find_envoy
from pwasm_compiler.envoy.run import Request, generate, prepare
from pwasm_compiler.errors import UsageError
from pwasm_compiler.yaml_text import dump, load_all
from tests.support.command_line import Pwasm
from tests.support.envoy_versions import binary_of
from tests.support.small_modules import holding_module, http_module, tcp_module

OPTION, VARIABLE = "allow_on_headers_stop_iteration", "PWASM_HOLD_HEADERS"
HTTP = "envoy.extensions.filters.http.wasm.v3.Wasm"
OLDER = "1.36.4"


def plugin_of(config: dict[str, Any]) -> dict[str, Any]:
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    found: dict[str, Any] = chain[0]["typed_config"]["http_filters"][0]["typed_config"]["config"]
    return found


def held(plugin: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the option and the variable are there."""
    variables = plugin["vm_config"].get("environment_variables", {})
    assert VARIABLE not in variables.get("host_env_keys", ())
    return plugin.get(OPTION) is True, variables.get("key_values", {}).get(VARIABLE) == "1"


def message(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = WasmFilter("main.wasm", **fields).message()["config"]
    return found


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    return holding_module(tmp_path / "main.wasm", {"": "wanted"})


@pytest.fixture
def required(tmp_path: Path) -> Path:
    return holding_module(tmp_path / "main.wasm", {"": "required"})


# -- the writer


@pytest.mark.parametrize(
    ("need", "chosen", "envoy", "expected"),
    [
        (None, None, (1, 40), False),
        ("wanted", None, (1, 40), True),
        ("required", None, (1, 35), True),
        ("wanted", None, (1, 34), False),
        ("wanted", False, (1, 40), False),
        ("required", False, (1, 40), False),
        ("required", False, (1, 34), False),
        (None, True, (1, 40), True),
    ],
)
def test_who_holds(need: str | None, chosen: bool | None, envoy: tuple[int, int], expected: bool) -> None:
    found = message(need=need, hold_headers=chosen, envoy=envoy)
    assert held(found) == (expected, expected)
    assert expected or OPTION not in found
    assert expected or "environment_variables" not in found["vm_config"]


@pytest.mark.parametrize(("need", "chosen"), [("required", None), ("wanted", True), (None, True)])
def test_an_envoy_without_the_option_is_refused_where_headers_must_be_held(
    need: str | None, chosen: bool | None
) -> None:
    with pytest.raises(UsageError, match=r"Envoy 1\.34 cannot hold headers"):
        message(need=need, hold_headers=chosen, envoy=(1, 34))


def test_a_kept_false_stays_unless_headers_must_be_held() -> None:
    kept = {OPTION: False}
    assert message(need="wanted", kept=kept)[OPTION] is False
    with pytest.raises(UsageError, match="its configuration says") as caught:
        message(need="required", kept=kept)
    assert "--hold-headers" in caught.value.hint
    assert held(message(need="required", hold_headers=True, kept=kept)) == (True, True)


def test_the_environment_of_others_stays() -> None:
    names = {"keyValues": {"A": "1", VARIABLE: "0"}, "hostEnvKeys": ["HOME", VARIABLE]}
    kept = {"vm_config": {"environment_variables": names}}
    found = message(need="wanted", kept=kept)["vm_config"]["environment_variables"]
    assert found == {"key_values": {"A": "1", VARIABLE: "1"}, "host_env_keys": ["HOME"]}
    found = message(need="wanted", kept=kept, hold_headers=False)["vm_config"]["environment_variables"]
    assert found == {"key_values": {"A": "1"}, "host_env_keys": ["HOME"]}
    assert message(kept=kept)["vm_config"]["environment_variables"] == names
    assert held(message(need="wanted", environment={"B": "2"})) == (True, True)


_VARIABLES = st.dictionaries(st.sampled_from(["A", VARIABLE]), st.sampled_from(["", "0", "1"]))
_INHERITED = st.lists(st.sampled_from(["HOME", VARIABLE]), unique=True)
_ENVIRONMENTS = st.one_of(
    st.fixed_dictionaries({}, optional={"key_values": _VARIABLES, "host_env_keys": _INHERITED}),
    st.fixed_dictionaries({}, optional={"keyValues": _VARIABLES, "hostEnvKeys": _INHERITED}),
)


@given(
    need=st.sampled_from([None, *held_headers.NEEDS]),
    chosen=st.sampled_from([None, True, False]),
    option=st.sampled_from([None, True, False]),
    kept=st.none() | _ENVIRONMENTS,
    environment=st.dictionaries(st.just("B"), st.just("2")),
    envoy=st.sampled_from([(1, 34), (1, 35), (1, 40)]),
)
def test_never_one_without_the_other(
    need: str | None,
    chosen: bool | None,
    option: bool | None,
    kept: dict[str, Any] | None,
    environment: dict[str, str],
    envoy: tuple[int, int],
) -> None:
    before = {**({} if option is None else {OPTION: option}), "vm_config": {"environment_variables": kept}}
    fields = {"need": need, "hold_headers": chosen, "envoy": envoy}
    try:
        found = message(kept=before, environment=environment, **fields)
    except UsageError:
        assert chosen is True or need == "required"
        return
    if need is None and chosen is None:  # nobody's concern: what was there stays
        assert found.get(OPTION) == option
        return
    has_option, has_variable = held(found)
    assert has_option == has_variable
    assert not has_option or envoy >= (1, 35)
    assert chosen is not False or not has_option
    again = message(kept=found, environment=environment, **fields)
    assert json.dumps(again) == json.dumps(found)


# -- what a module says of itself


def test_what_a_module_records(tmp_path: Path) -> None:
    module = read_module(holding_module(tmp_path / "m.wasm", {"": "wanted", "check": "required", "log": None}))
    needs = [module.need(root_id) for root_id in ("", "check", "log", "other")]
    assert needs == ["wanted", "required", "wanted", "wanted"], "one VM may run all of them, with one environment"
    assert held_headers.need(module.hold_headers) == "required"
    assert held_headers.need({}) is None
    assert read_module(http_module(tmp_path / "other.wasm")).need() is None
    assert read_module(tcp_module(tmp_path / "tcp.wasm")).need() is None


def test_a_malformed_record_is_ignored(tmp_path: Path) -> None:
    for record in ({"": "often"}, {"": 1}, {1: "wanted"}, {"a\nb": "wanted"}, ["wanted"]):
        module = holding_module(tmp_path / "m.wasm", record)  # type: ignore[arg-type]
        assert read_module(module).hold_headers == {}


def test_inspect_shows_it(pwasm: Pwasm, tmp_path: Path) -> None:
    holding_module(tmp_path / "main.wasm", {"": "wanted", "check": "required", "log": None})
    shown = [line.strip() for line in pwasm("inspect", "main.wasm").out.splitlines() if "to be held" in line]
    assert shown == [
        "headers      to be held, wanted: a class holds bodies; without the option, they are held in the module's own"
        " memory",
        "to be held, required (root_id 'check'): a class changes headers after seeing the body; without the option, the"
        " filter refuses to start",
    ]
    document = json.loads(pwasm("inspect", "main.wasm", "--json").out)
    assert document["hold_headers"] == {"": "wanted", "check": "required", "log": None}
    record = ModuleRecord(sdk="1", python="3.14.0", hash_seed=1, written={"make": None})
    (tmp_path / "main.wasm").write_bytes(http_module(tmp_path / "plain.wasm").read_bytes() + record.section())
    assert (
        "headers      not known for what is decided at run time; see --hold-headers"
        in pwasm("inspect", "main.wasm").out
    )
    http_module(tmp_path / "main.wasm")
    assert "to be held" not in pwasm("inspect", "main.wasm").out
    assert json.loads(pwasm("inspect", "main.wasm", "--json").out)["hold_headers"] == {}


# -- pwasm config


def test_config_writes_both(pwasm: Pwasm, wanted: Path) -> None:
    def written(*options: str) -> tuple[bool, bool]:
        result = pwasm("config", "main.wasm", *options)
        assert (result.code, result.err) == (0, "")
        return held(plugin_of(load_all(result.out)[0]))

    assert written() == written("--env", "A=1") == written("--hold-headers") == (True, True)
    assert pwasm("config", "main.wasm", "--envoy-version", "1.40").out == pwasm("config", "main.wasm").out


def test_config_without_a_need_is_as_before(pwasm: Pwasm, tmp_path: Path) -> None:
    plain = pwasm("config", http_module(tmp_path / "main.wasm")).out
    assert OPTION not in plain
    assert pwasm("config", holding_module(tmp_path / "main.wasm", {})).out == plain
    holding_module(tmp_path / "main.wasm", {"": None, "x": "required"})
    for root_id in ("", "x"):
        assert held(plugin_of(load_all(pwasm("config", "main.wasm", "--root-id", root_id).out)[0])) == (True, True)
    old = pwasm("config", "main.wasm", "--envoy-version", "1.34")
    assert held(plugin_of(load_all(old.out)[0])) == (False, False)
    assert pwasm("config", "main.wasm", "--root-id", "x", "--envoy-version", "1.34").code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-hold-headers"], "with --no-hold-headers: bodies are held in the module's own memory; request headers"),
        (
            ["--envoy-version", "1.34"],
            "Envoy 1.34 cannot hold headers (no allow_on_headers_stop_iteration): bodies are",
        ),
    ],
)
def test_config_says_what_it_means_not_to_hold(pwasm: Pwasm, wanted: Path, options: list[str], said: str) -> None:
    result = pwasm("config", "main.wasm", *options)
    assert held(plugin_of(load_all(result.out)[0])) == (False, False)
    assert f"warning: {said}" in result.err


def test_config_for_headers_that_must_be_held(pwasm: Pwasm, required: Path) -> None:
    result = pwasm("config", "main.wasm", "--envoy-version", "1.34")
    assert (result.code, result.out) == (2, "")
    assert "Envoy 1.34 cannot hold headers, which this filter requires" in result.err
    assert "hint: use a newer Envoy" in result.err
    result = pwasm("config", "main.wasm", "--no-hold-headers")
    assert held(plugin_of(load_all(result.out)[0])) == (False, False)
    assert "with --no-hold-headers this filter refuses to start" in result.err


@pytest.mark.parametrize("variable", [VARIABLE, f"{VARIABLE}=1"])
def test_the_variable_alone_is_refused(pwasm: Pwasm, wanted: Path, variable: str) -> None:
    result = pwasm("config", "main.wasm", "--env", variable)
    assert result.code == 2
    assert "hint: use --hold-headers or --no-hold-headers" in result.err


KEPT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the option": {OPTION: True},
    "the option in camelCase": {"allowOnHeadersStopIteration": True},
    "false": {OPTION: False},
    "false in camelCase": {"allowOnHeadersStopIteration": False},
    "the variable": {"vm_config": {"environment_variables": {"key_values": {VARIABLE: "1", "A": "1"}}}},
    "the variable in camelCase": {"vmConfig": {"environmentVariables": {"keyValues": {VARIABLE: "1"}}}},
}


@pytest.mark.parametrize("options", [[], ["--hold-headers"], ["--no-hold-headers"]])
@pytest.mark.parametrize("kept", KEPT)
def test_an_existing_configuration_gets_both_or_neither(
    pwasm: Pwasm, wanted: Path, tmp_path: Path, options: list[str], kept: str
) -> None:
    code = {"local": {"filename": "main.wasm"}}
    plugin = {**KEPT[kept]}
    key = "vmConfig" if "vmConfig" in plugin else "vm_config"
    plugin[key] = {"runtime": "envoy.wasm.runtime.v8", "code": code, **plugin.get(key, {})}
    entry = {"name": "w", "typed_config": {"@type": f"type.googleapis.com/{HTTP}", "config": plugin}}
    (tmp_path / "given.yaml").write_text(dump(bootstrap([HttpListener([entry], port=1)])))
    assert pwasm("config", "main.wasm", "-c", "given.yaml", "-o", "new.yaml", *options).code == 0
    (config,) = load_all((tmp_path / "new.yaml").read_text())
    expected = options == ["--hold-headers"] or (not options and "false" not in kept)
    assert held(plugin_of(config)) == (expected, expected)
    assert "allowOnHeadersStopIteration" not in plugin_of(config)
    assert pwasm("config", "main.wasm", "-c", "new.yaml", *options).out == (tmp_path / "new.yaml").read_text()


def test_a_file_for_ecds_has_both(pwasm: Pwasm, wanted: Path, tmp_path: Path) -> None:
    assert pwasm("config", "main.wasm", "-o", "new.yaml", "--ecds", "filter.yaml").code == 0
    (document,) = load_all((tmp_path / "filter.yaml").read_text())
    assert held(document["resources"][0]["typed_config"]["config"]) == (True, True)


# -- pwasm run, dev


def test_run_writes_both(wanted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(hold: bool | None = None) -> tuple[bool, bool]:
        request = Request(wanted, hold_headers=hold)
        return held(plugin_of(generate(Path("main.wasm"), wanted.parent, "main", request)))

    assert (made(), made(True), made(False)) == ((True, True), (True, True), (False, False))


def test_run_says_when_the_users_own_configuration_does_not_hold(wanted: Path, tmp_path: Path) -> None:
    own = tmp_path / "envoy.yaml"
    own.write_text(dump(bootstrap([HttpListener([WasmFilter("main.wasm")], port=0)])))
    said = prepare(Request(wanted), lambda _project: None).caution
    assert said is not None
    assert "envoy.yaml does not set allow_on_headers_stop_iteration, which pwasm config -c writes; a class" in said
    own.write_text(dump(bootstrap([HttpListener([WasmFilter("main.wasm", need="wanted")], port=0)])))
    assert prepare(Request(wanted), lambda _project: None).caution is None
    with pytest.raises(UsageError, match="--hold-headers and -c are mutually exclusive"):
        prepare(Request(wanted, config=own, hold_headers=True), lambda _project: None)
    generated = prepare(Request(wanted, hold_headers=False), lambda _project: None)
    assert isinstance(generated.config, dict)
    assert "with --no-hold-headers: bodies are held" in str(generated.caution)


# -- real Envoys


@pytest.mark.envoy
@pytest.mark.parametrize("version", ["1.40.0", OLDER])
@pytest.mark.parametrize("need", list(held_headers.NEEDS))
def test_envoy_takes_it(pwasm: Pwasm, tmp_path: Path, version: str, need: str) -> None:
    holding_module(tmp_path / "main.wasm", {"": need})
    result = pwasm("config", "main.wasm", "-o", "new.yaml", "--envoy-version", version, "--port", "0", "--env", "HOME")
    assert result.code == 0, result.err
    assert held(plugin_of(load_all((tmp_path / "new.yaml").read_text())[0])) == (True, True)
    executable = find_envoy() if version == "1.40.0" else binary_of(version)
    command = [str(executable), "--mode", "validate", "-c", "new.yaml", "--log-level", "warn"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


COUNTS = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "0 variables")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) unreachable)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (i32.store8 (i32.const 16) (i32.add (i32.const 48) (i32.load (i32.const 0))))
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 11)))
    (i32.const 1)))
"""


@pytest.mark.envoy
@pytest.mark.parametrize(("version", "second"), [("1.40.0", "1 variables"), (OLDER, "0 variables")])
def test_older_envoys_run_plugins_of_one_module_in_one_vm(tmp_path: Path, version: str, second: str) -> None:
    """Why all plugins of a module are written alike: the VM has the environment of the first."""
    (tmp_path / "main.wasm").write_bytes(wasmtime.wat2wasm(COUNTS))
    used = [
        WasmFilter("main.wasm", name=name, hold_headers=name == "held", envoy=version_of(version))
        for name in ("plain", "held")
    ]
    config = bootstrap([HttpListener([plugin], name=plugin.name) for plugin in used])
    executable = None if version == "1.40.0" else binary_of(version)
    with Envoy(config, executable=executable, cwd=tmp_path) as envoy:
        envoy.wait_for_log("variables", count=6)  # of the canary, the main thread and the worker
        said = [record.text for record in envoy.log if record.from_filter]
    assert sorted(said) == ["0 variables"] * 3 + [second] * 3
