"""YAML that breaks a careless reader: every command that reads YAML reports the problem and its place.

Envoy itself crashes with a segmentation fault on a value that contains itself.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm.testing.suites.suite import SuiteError, load_suite
from pwasm_compiler.envoy import run
from pwasm_compiler.yaml_text import dump, load
from tests.support import command_line
from tests.support.command_line import Pwasm
from tests.support.small_modules import http_module

ENVOY = "--envoy=/bin/true"  # found, and not started: the file is looked at before
PORTS = f"{ENVOY} --port 0 --admin-port 0"
COMMANDS = {
    "run -c": f"run --no-build {PORTS} main.wasm -c {{}}",
    "run -c, as it is": f"run --no-build {ENVOY} main.wasm -c {{}}",
    "run --plugin-config": f"run --no-build {PORTS} main.wasm --plugin-config {{}}",
    "dev -c": f"dev {PORTS} main.wasm -c {{}}",
    "dev -c, as it is": f"dev {ENVOY} main.wasm -c {{}}",
    "dev --plugin-config": f"dev {PORTS} main.wasm --plugin-config {{}}",
    "config -c": "config main.wasm -c {}",
    "config --plugin-config": "config main.wasm --plugin-config {}",
    "config --schema": "config main.wasm --plugin-config {{}} --schema {}",
    "bench --plugin-config": f"bench {ENVOY} main.wasm --client python --plugin-config {{}}",
    "manifest --check": "manifest --check {}",
    "manifest --plugin-config": "manifest --name x --image registry.example/x:1 --plugin-config {}",
    "deploy": "deploy {}",
}
START = """\
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
"""
LAUGHS = "".join(f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 10))
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "itself": (f"{START}other: &a\n  x: *a\n", "line 5: a value that contains itself"),
    "laughs": (f"{START}a0: &a0 x\n{LAUGHS}", "expands to more than"),
    "deep": (f"{START}other: {'[' * 20_000}", "nested too deeply"),
    "100 levels": (f"{START}other: {'[' * 300}{']' * 300}", "nested more than 100 levels deep"),
    "date": (f"{START}other: !!timestamp 2001-01-01\n", "line 5: a value of the type !!timestamp"),
    "set": (f"{START}other: !!set {{a, b}}\n", "line 5: a value of the type !!set"),
    "own tag": (f"{START}other: !<tag:example.org,2002:x> a\n", "line 5: a value of the type tag:example.org,2002:x"),
    "key": (f"{START}node:\n  id: a\n  cluster: b\n  id: c\n", "line 8: duplicate key 'id'"),
    "tab": (f"{START}node:\n\tid: a\n", "line 6, column 1: found character that cannot start any token"),
    "bytes": (START.encode() + b"# \xff\n", "is not UTF-8 (at byte "),
}
ENVOY_SAYS = {
    *((f"{command} -c{how}", "key") for command in ("run", "dev") for how in ("", ", as it is")),
    ("run -c, as it is", "tab"),
}
"""What is passed on to Envoy: it takes some keys twice, and configurations that are not YAML."""


@pytest.fixture
def pwasm(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    http_module(tmp_path / "main.wasm")
    return command_line.caller(capfd, tmp_path, monkeypatch)


def written(folder: Path, text: str | bytes, name: str = "given.yaml") -> Path:
    """The text in a file."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize(("command", "text"), sorted(set(itertools.product(COMMANDS, TEXTS)) - ENVOY_SAYS))
def test_one_message_that_says_where(pwasm: Pwasm, tmp_path: Path, command: str, text: str) -> None:
    written(tmp_path, TEXTS[text][0])
    result = pwasm(*(word.format("given.yaml") for word in COMMANDS[command].split()))
    assert result.code == 1
    assert TEXTS[text][1] in result.err
    assert "given.yaml" in result.err
    assert result.out == ""


@pytest.mark.parametrize("text", ["key", "tab"])
def test_what_envoy_may_take_is_for_envoy_to_say(tmp_path: Path, text: str) -> None:
    module, file = http_module(tmp_path / "main.wasm"), written(tmp_path, TEXTS[text][0])
    plan = run.prepare(run.Request(module, config=file, envoy="/bin/true", build=False), lambda _project: None)
    assert (plan.config, plan.config_text) == (file, None)


@pytest.mark.parametrize("text", TEXTS)
def test_a_suite(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, TEXTS[text][0], "x.suite.yaml")
    message = "can't decode byte 0xff" if text == "bytes" else TEXTS[text][1]
    with pytest.raises(SuiteError, match=re.escape(str(file))) as raised:
        load_suite(file)
    assert message in str(raised.value)


@pytest.mark.programs
def test_a_suite_on_the_command_line(pwasm: Pwasm, tmp_path: Path) -> None:
    written(tmp_path, TEXTS["itself"][0], "x.suite.yaml")
    result = pwasm("test", "x.suite.yaml", "--module", "main.wasm")
    assert result.code == 1
    assert TEXTS["itself"][1] in result.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": [{"c": 1, "c": 2}]}', "b[0]: duplicate key 'c'"),
        ('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "nested too deeply"),
    ],
)
@pytest.mark.parametrize("command", ["config main.wasm", "manifest --name x --image registry.example/x:1"])
def test_json_on_the_command_line(pwasm: Pwasm, command: str, text: str, message: str) -> None:
    result = pwasm(*command.split(), "--plugin-config", text)
    assert result.code == 2
    assert message in result.err


def test_a_dump_that_is_nested_too_deeply(pwasm: Pwasm, tmp_path: Path) -> None:
    written(tmp_path, '{"configs": ' + "[" * 20_000 + "]" * 20_000 + "}", "dump.json")
    result = pwasm("status", "--dump", "dump.json")
    assert result.code == 1
    assert "dump.json is not a config_dump" in result.err


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_what_is_written_has_nothing_that_cannot_be_seen(document: dict[str, str]) -> None:
    text = dump(document)
    assert all(line.isprintable() for line in text.split("\n"))
    assert load(text) == document
