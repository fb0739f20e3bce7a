"""The `pwasm` command: its help is the manual.

Standard output carries results (a summary, a URL, the filter's log, one JSON document); progress, warnings and errors
go to standard error. `main` is the only place that prints an error and chooses the exit code: 0 success, 1 failure,
2 wrong usage.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from pwasm_compiler.console import colour, print_error
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.files import shown

DISTRIBUTION = "pwasm-sdk"

COMMANDS = {
    # name: what the list of commands says of it; the command is the attribute `name` of commands/<name>.py
    "bench": "Measure what a filter costs: time, memory, load.",
    "build": "Build a filter into main.wasm.",
    "cache": "Show what pwasm keeps for later builds, or clear it.",
    "config": "Write an Envoy configuration with a filter in it.",
    "deploy": "Apply a resource to a cluster, and wait until it is in force.",
    "dev": "Run a filter, and change over to each edit of it.",
    "doctor": "Check what pwasm needs, and say what to do.",
    "inspect": "Show what is in a Wasm module or an image.",
    "manifest": "Print the Kubernetes resource that puts a filter into a mesh.",
    "new": "Make a folder with a new filter.",
    "package": "Write the image of a filter, as a folder or a .tar.",
    "pull": "Fetch a module from a registry.",
    "push": "Put the image of a filter into a registry.",
    "run": "Run a filter in a local Envoy, built if needed.",
    "schema": "Print the JSON schema of a filter's configuration, or check one.",
    "status": "Show the Wasm filters of a running Envoy.",
    "test": "Run a filter's tests, in Python and in Envoy.",
}


class Commands(click.Group):
    """Imports a command when it is called, so that `pwasm --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"pwasm_compiler.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def version() -> str:
    """The installed version of pwasm."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@click.group(
    cls=Commands,
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


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: run the command, print its error if there is one, exit."""
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code of the command; nothing but this prints an error."""
    try:
        result = cli.main(arguments, prog_name="pwasm", standalone_mode=False, color=colour())
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PwasmError as error:
        print_error(error.what, error.why, error.hint)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("aborted", err=True)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not try to flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{shown(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        print_error(f"{where}{error.strerror or error}", "", "")
    except Exception as error:
        _print_bug(error)
    return 1


def _print_bug(error: Exception) -> None:
    if os.environ.get("PWASM_TRACEBACK"):
        traceback.print_exception(error)
        return
    print_error(
        f"pwasm failed: {type(error).__name__}: {error}",
        "This is a bug in pwasm; please report it.",
        "PWASM_TRACEBACK=1 shows the traceback that belongs into the report",
    )


if __name__ == "__main__":
    main()
