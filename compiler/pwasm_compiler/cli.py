"""The `pwasm` command: its help is the manual.

Standard output carries results (a summary, a URL, the filter's log, one JSON document); progress, warnings and errors
go to standard error. `main` is the only place that prints an error and chooses the exit code: 0 success, 1 failure,
2 wrong usage.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError
from click.shell_completion import CompletionItem

from pwasm_compiler import usage
from pwasm_compiler.console import colour, print_error, print_error_as_json, say
from pwasm_compiler.errors import DISTRIBUTION, PwasmError, report_a_bug
from pwasm_compiler.files import shown

COMMANDS = {
    # name: summary in the list of commands; the command is the attribute `name` of commands/<name>.py
    "bench": "Measure a filter's overhead: time, memory, startup.",
    "build": "Build a filter into main.wasm.",
    "cache": "Show or clear what is kept for later builds.",
    "config": "Write an Envoy configuration that includes a filter.",
    "deploy": "Apply a resource to a cluster and wait until it is accepted.",
    "dev": "Run a filter and reload it on every edit.",
    "doctor": "Check the environment and suggest fixes.",
    "inspect": "Show the contents of a Wasm module or image.",
    "manifest": "Print the Kubernetes resource that adds a filter to a mesh.",
    "new": "Create a new filter.",
    "optimize": "Halve the load time of any Proxy-Wasm module.",
    "package": "Package a filter as an image, in a folder or a .tar.",
    "pull": "Pull a module from a registry.",
    "push": "Push a filter's image to a registry.",
    "run": "Build a filter if needed and run it in a local Envoy.",
    "schema": "Print the JSON schema of a filter's configuration, or validate one.",
    "status": "Show the Wasm filters of a running Envoy.",
    "test": "Run a filter's tests in Python, Wasm and Envoy.",
}
_PASSES_OPTIONS_ON = "test"
"""Its --json may be meant for pytest."""
_ABORTED = "aborted"
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise usage.no_such_command(args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Command names complete without importing the commands; the rest is completed by the command itself."""
        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def version() -> str:
    """The installed version of pwasm."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


_EPILOG = """\
Exit codes: 0 success, 1 failure, 2 wrong usage. NO_COLOR turns colours off.

\b
Shell completion, for ~/.bashrc, ~/.zshrc (after compinit) or config.fish:
  eval "$(_PWASM_COMPLETE=bash_source pwasm)"
  eval "$(_PWASM_COMPLETE=zsh_source pwasm)"
  _PWASM_COMPLETE=fish_source pwasm | source
"""


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(version(), "-V", "--version", prog_name="pwasm", message="%(prog)s %(version)s")
def cli() -> None:
    """Write Envoy and Istio filters in Python.

    A filter is a folder with filter.py: a Python class that pwasm builds into main.wasm, which Envoy loads.

    \b
      pwasm new hello        create a filter that works as is
      pwasm test hello       run its tests, in plain Python
      pwasm run hello        build it and try it in a local Envoy
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: run the command, print its error if there is one, exit."""
    words = tuple(sys.argv[1:] if arguments is None else arguments)
    try:
        with _cleaning_up():
            code = _run(words)
    except BrokenPipeError:
        # The reader of our output is gone; Python must not try to flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


@contextmanager
def _cleaning_up() -> Iterator[None]:
    """On signals that end the process, unwind the block to remove temporary folders. Ignored ones stay ignored."""

    def end(number: int, _frame: object) -> NoReturn:
        signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is signal.SIG_DFL and signal.getsignal(number) is end:
                signal.signal(number, handler)


def _run(words: tuple[str, ...]) -> int:
    """Run the command and return its exit code; errors are printed only here."""
    try:
        result = cli.main(words, prog_name="pwasm", standalone_mode=False, color=colour())
        return result if isinstance(result, int) else 0
    except NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        raise
    except (click.Abort, KeyboardInterrupt):
        found = PwasmError(_ABORTED)
    except BaseException as error:
        found = _explained(error, words)
    _tell(found, words)
    return found.exit_code


def _tell(error: PwasmError, words: tuple[str, ...]) -> None:
    if _wants_json(words):
        print_error_as_json(error.what, error.why, error.hint)
    elif error.what == _ABORTED:
        say(_ABORTED, err=True)  # Ctrl-C is not an error
    else:
        print_error(error.what, error.why, error.hint)


def _explained(error: BaseException, words: tuple[str, ...]) -> PwasmError:
    """Any exception that ended a command, as an error with what, why and hint."""
    if isinstance(error, PwasmError):
        return error
    if isinstance(error, click.UsageError):
        name = _command_of(words)
        command = cli.get_command(click.Context(cli), name) if name else None
        return usage.explained(error, command or cli, f"pwasm {name}".rstrip())
    if isinstance(error, click.ClickException):
        return PwasmError(error.format_message())
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return PwasmError("the current folder no longer exists", hint='if it was recreated: cd "$PWD"')
    if isinstance(error, OSError):
        where = f"{shown(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return PwasmError(f"{where}{error.strerror or error}")
    if os.environ.get("PWASM_TRACEBACK"):
        say("".join(traceback.format_exception(error)).rstrip(), err=True)
    return PwasmError(
        f"pwasm failed: {type(error).__name__}: {error}",
        why=report_a_bug(),
        hint="set PWASM_TRACEBACK=1 to get the traceback for the report",
    )


def _command_of(words: tuple[str, ...]) -> str:
    """The name of the called command, or "" if there is no such command."""
    name = next((word for word in words if not word.startswith("-")), "")
    return name if name in COMMANDS else ""


def _wants_json(words: tuple[str, ...]) -> bool:
    """Whether the caller asked for JSON, even if the command is misspelt or has no such option."""
    ours = words[: words.index("--")] if "--" in words else words
    return "--json" in ours and _command_of(words) != _PASSES_OPTIONS_ON


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


if __name__ == "__main__":
    main()
