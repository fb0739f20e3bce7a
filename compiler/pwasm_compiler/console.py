"""What every command shares of the terminal: colours, progress, the form of an error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from click.shell_completion import CompletionItem

from pwasm_compiler.files import printable


def colour() -> bool | None:
    """Whether click may colour: `None` lets it look at the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def progress(text: str) -> None:
    """A line for somebody who waits; nobody waits for a log file."""
    if sys.stderr.isatty():
        click.secho(text, err=True, dim=True, color=colour())


def note(text: str) -> None:
    """What pwasm decided for the user, on standard error."""
    click.secho(text, err=True, dim=True, color=colour())


def _harmless(text: str) -> str:
    """`text` without what a terminal might act on: a file's name, and what is in it, may hold anything."""
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete names of files, for a parameter that is not always one."""
    return [CompletionItem(incomplete, type="file")]


@contextmanager
def transfer(label: str, size: int) -> Iterator[Callable[[int], None]]:
    """A bar for `size` bytes, told how many more have gone; on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    with click.progressbar(length=max(size, 1), label=label, file=sys.stderr, color=colour()) as bar:
        yield bar.update


def warn(text: str) -> None:
    """A warning, on standard error."""
    click.echo(click.style("warning: ", fg="yellow") + _harmless(text), err=True, color=colour())


def print_error(what: str, why: str, hint: str) -> None:
    """What went wrong, why, and what to do."""
    text = click.style("error: ", fg="red", bold=True) + "\n".join(_harmless(part) for part in (what, why) if part)
    if hint:
        text += "\n\n" + click.style("hint: ", fg="cyan") + _harmless(hint)
    click.echo(text, err=True, color=colour())


def print_error_as_json(what: str, why: str, hint: str) -> None:
    """The same for a program: one document on standard output."""
    click.echo(json.dumps({"error": {"what": what, "why": why, "hint": hint}}, indent=2))
