"""Terminal output shared by every command: colours, lines next to a progress line, the form of an error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from click.shell_completion import CompletionItem

from pwasm_compiler.files import printable
from pwasm_compiler.progress import Progress, alone


def colour() -> bool | None:
    """Whether click may use colours: `None` lets it check the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str, *, err: bool = False) -> None:
    """Print a line, even while a `Progress` line is shown."""
    with alone():
        click.echo(text, err=err, color=colour())


def note(text: str) -> None:
    """A decision that pwasm made for the user, on standard error."""
    say(click.style(text, dim=True), err=True)


def _harmless(text: str) -> str:
    """`text` without anything a terminal might act on: file names and contents may hold anything."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete file names, for a parameter that is not always one."""
    return [CompletionItem(incomplete, type="file")]


@contextmanager
def transfer(label: str, size: int) -> Iterator[Callable[[int], None]]:
    """Progress of a transfer of `size` bytes; call it with the number of further bytes transferred."""
    gone = 0
    with Progress() as progress:

        def more(count: int) -> None:
            nonlocal gone
            gone += count
            progress(f"{label}: {gone / 2**20:.1f} of {size / 2**20:.1f} MiB")

        more(0)
        yield more


def warn(text: str) -> None:
    """A warning, on standard error."""
    say(click.style("warning: ", fg="yellow") + _harmless(text), err=True)


def print_error(what: str, why: str, hint: str) -> None:
    """What went wrong, why, and what to do."""
    text = click.style("error: ", fg="red", bold=True) + "\n".join(_harmless(part) for part in (what, why) if part)
    if hint:
        text += "\n\n" + click.style("hint: ", fg="cyan") + _harmless(hint)
    say(text, err=True)


def error_as_json(what: str, why: str, hint: str) -> dict[str, dict[str, str]]:
    """The same, for programs to read."""
    return {"error": {"what": what, "why": why, "hint": hint}}


def print_error_as_json(what: str, why: str, hint: str) -> None:
    """One document on standard output."""
    click.echo(json.dumps(error_as_json(what, why, hint), indent=2))
