"""Terminal output shared by every command: colours, lines next to a progress line, the form of an error.

Everything that commands print goes through here, because much of it comes from modules, registries, clusters and logs:
`say` prints text for people, in which nothing is left that a terminal might act on; `say_document` and `say_text` print
what programs read, in the escapes of its own syntax.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from pwasm_compiler.files import printable
from pwasm_compiler.progress import Progress, alone


def colour() -> bool | None:
    """Whether click may use colours: `None` lets it check the terminal."""
    return False if os.environ.get("NO_COLOR") else None


class Styled(str):
    """Text with colours, made by `styled`."""

    __slots__ = ()


def styled(text: str, **style: Any) -> Styled:
    """`text` in a style of `click.style`, for `say`."""
    return Styled(click.style(_harmless(text), **style))


def say(*parts: str, err: bool = False) -> None:
    """Print a line, even while a `Progress` line is shown."""
    with alone():
        text = "".join(part if isinstance(part, Styled) else _harmless(part) for part in parts)
        click.echo(text, err=err, color=colour())


def say_document(document: object) -> None:
    """Print one JSON document; it is ASCII."""
    click.echo(json.dumps(document, indent=2))


def say_text(text: str) -> None:
    """Print a document as it is: YAML or JSON that pwasm wrote itself, and that escapes what it quotes."""
    click.echo(text, nl=False)


def note(text: str) -> None:
    """A decision that pwasm made for the user, on standard error."""
    say(styled(text, dim=True), err=True)


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
    say(styled("warning: ", fg="yellow"), text, err=True)


def print_error(what: str, why: str, hint: str) -> None:
    """What went wrong, why, and what to do."""
    parts = [styled("error: ", fg="red", bold=True), "\n".join(filter(None, (what, why)))]
    if hint:
        parts += ["\n\n", styled("hint: ", fg="cyan"), hint]
    say(*parts, err=True)


def error_as_json(what: str, why: str, hint: str) -> dict[str, dict[str, str]]:
    """The same, for programs to read."""
    return {"error": {"what": what, "why": why, "hint": hint}}


def print_error_as_json(what: str, why: str, hint: str) -> None:
    """One document on standard output."""
    say_document(error_as_json(what, why, hint))
