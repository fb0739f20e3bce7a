"""`pwasm schema`, and configurations in YAML."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from pwasm_compiler import plugin_config, schema
from pwasm_compiler.cli import cli
from pwasm_compiler.errors import PwasmError

FILTER = """
from dataclasses import dataclass
import pwasm

print("while it is imported")

@dataclass
class Config:
    name: str
    retries: int = 3

class Plugin(pwasm.PluginContext):
    config: Config

class Other(pwasm.PluginContext):
    config: bool

pwasm.set_plugin_context(Plugin)
pwasm.set_plugin_context(Other, root_id="other")
pwasm.set_http_context(pwasm.HttpContext)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "filter.py").write_text(FILTER)
    return tmp_path


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and the error of a command."""
    result = CliRunner().invoke(cli, ["schema", *map(str, arguments)])
    error = result.exception
    code = error.exit_code if isinstance(error, PwasmError) else result.exit_code
    return code, result.stdout, str(error or "")


@pytest.mark.programs
def test_the_schema_of_a_folder(folder: Path) -> None:
    code, output, _ = run(folder)
    assert code == 0
    assert json.loads(output) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "Config",
        "properties": {"name": {"type": "string"}, "retries": {"type": "integer", "default": 3}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert not list(folder.glob("__pycache__"))


@pytest.mark.programs
def test_the_schema_for_a_root_id(folder: Path) -> None:
    code, output, _ = run(folder / "filter.py", "--root-id", "other")
    assert (code, json.loads(output)["type"]) == (0, "boolean")
    code, _, error = run(folder, "--root-id", "nobody")
    assert (code, error) == (2, "no configuration is declared for root_id 'nobody'\nhint: --root-id may be '', 'other'")


@pytest.mark.programs
def test_a_configuration_is_checked(folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text("name: one  # a comment\nretries: 5\n")
    code, output, _ = run(folder, "--check", file)
    assert (code, json.loads(output)) == (0, {"name": "one", "retries": 5})
    file.write_text("retries: many\nnmae: one\n")
    code, output, error = run(folder, "--check", file)
    assert (code, output) == (1, "")
    assert error.splitlines() == [
        f"{file} is not a valid configuration",
        "$.nmae: unknown field; did you mean name?",
        "$.name: missing (expected str)",
        "$.retries: expected int, got str",
    ]


@pytest.mark.programs
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import nobody_has_this", "cannot import"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", 'filter.py\n  File "filter.py", line 1'),
        ("import os; os._exit(0)", "exits the process"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("x = 1", "filter.py: no filter class is registered\nhint: call pwasm.set_http_context"),
    ],
)
def test_filters_without_a_schema(tmp_path: Path, source: str, text: str) -> None:
    (tmp_path / "filter.py").write_text(source)
    code, output, error = run(tmp_path)
    assert (code, output) == (1, "")
    assert text in error
    assert "entrypoint.py" not in error


@pytest.mark.programs
def test_a_filter_without_a_configuration_takes_any(tmp_path: Path) -> None:
    """That is not an error: the schema allows any value, and the output shows code that declares a configuration."""
    file, configuration = tmp_path / "filter.py", tmp_path / "c.json"
    file.write_text("import pwasm\npwasm.set_http_context(pwasm.HttpContext)")
    configuration.write_text('{"a": 1}')
    result = CliRunner().invoke(cli, ["schema", str(tmp_path)])
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"$schema": schema.ANY["$schema"]})
    first, _, code = result.stderr.partition("To declare one, annotate `config` in a class of the filter:\n")
    assert first == f"{file} declares no configuration. "
    checked = CliRunner().invoke(cli, ["schema", str(tmp_path), "--check", str(configuration)])
    assert (checked.exit_code, checked.stdout) == (0, '{"a": 1}\n')
    assert f"{file} declares no configuration, so there is nothing to check. To declare one" in checked.stderr
    file.write_text(f"import pwasm\n{textwrap.dedent(code)}\npwasm.set_http_context(MyFilter)\n")
    declared = json.loads(CliRunner().invoke(cli, ["schema", str(tmp_path)]).stdout)
    assert (list(declared["properties"]), declared["required"]) == (["header", "limit"], ["header"])


@pytest.mark.programs
def test_the_traceback_is_the_filters_own(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text("def fails():\n    return 1 / 0\n\n\nfails()\n")
    _, _, error = run(tmp_path)
    assert [line.strip() for line in error.splitlines() if "File" in line] == [
        'File "filter.py", line 5, in <module>',
        'File "filter.py", line 2, in fails',
    ]


def test_a_filter_in_go_has_no_schema(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.org/filter\n")
    code, output, error = run(tmp_path)
    assert (code, output) == (1, "")
    assert "is a Go filter, and Go filters declare no configuration" in error


# --- YAML ---------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, text: str | bytes, name: str = "config.yaml") -> Path:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_yaml_becomes_json(tmp_path: Path) -> None:
    text = "a: &x {b: [1, 2.5, yes, ~, 'é']}\nday: 2026-01-02\nmerged: {<<: *x, c: 1}\n"
    assert json.loads(plugin_config.read(written(tmp_path, text))) == {
        "a": {"b": [1, 2.5, True, None, "é"]},
        "day": "2026-01-02",
        "merged": {"b": [1, 2.5, True, None, "é"], "c": 1},
    }


def test_other_files_are_passed_on(tmp_path: Path) -> None:
    for name in ("config.json", "words.txt"):
        assert plugin_config.read(written(tmp_path, "{ not: json", name)) == "{ not: json"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2\n", "line 2: duplicate key 'a'"),
        ("1: x\n", "the key 1 is not a string"),
        ("yes: x\n", "the key yes is not a string"),
        ("a: !!python/object:os.system x\n", "of the type !!python/object:os.system"),
        ("a: .nan\n", "contains a value that JSON does not support"),
        ("a: !!binary aGk=\n", "of the type !!binary, which JSON does not have"),
        ("a: &a [*a]\n", "a value that contains itself"),
        ("[" * 20_000, "nested too deeply"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_wrong_yaml(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(PwasmError) as raised:
        plugin_config.read(written(tmp_path, text))
    assert problem in str(raised.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PwasmError, match="no such file or directory"):
        plugin_config.read(tmp_path / "nothing.yaml")
