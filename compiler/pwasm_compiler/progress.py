"""Progress for a user who waits: the current step, how far it is, for how many seconds.

On a terminal it is one line that is overwritten, and erased once the work is done or something else is printed.
Elsewhere (a pipe, a CI log), and on a terminal that cannot overwrite a line (TERM=dumb), only slow steps are shown, on
lines of their own: after some seconds, and then each time the wait has doubled.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import click

from pwasm_compiler.files import printable

_REDRAW_SECONDS = 0.1
_PATIENCE_SECONDS = 5.0
"""How long to stay silent where lines cannot be overwritten."""
_PATIENCE_AT_A_TERMINAL_SECONDS = 1.0
_ERASE = "\r\x1b[K"

_lock = threading.RLock()
_running: list[Progress] = []
"""Only the last one may draw: a build within a measurement."""


class Progress:
    """A long-running operation. Call it with the current step; it ends with its block, or with `close`."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._text = self._drawn = ""
        self._in_place = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._due = _PATIENCE_AT_A_TERMINAL_SECONDS if sys.stderr.isatty() else _PATIENCE_SECONDS
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, text: str) -> None:
        """Show `text` as the current step."""
        with _lock:
            if self._closed.is_set():
                return
            if self not in _running:
                _running.append(self)
                threading.Thread(target=self._tick, name="pwasm-progress", daemon=True).start()
            self._text = printable(text)
            self._draw()

    def close(self) -> None:
        """Erase the line."""
        with _lock:
            self._closed.set()
            if self in _running:
                with alone():
                    _running.remove(self)

    def erase(self) -> None:
        """Erase the line until it is drawn again."""
        if self._in_place:
            self._drawn = ""
            click.echo(_ERASE, err=True, nl=False, color=True)

    def _tick(self) -> None:
        while not self._closed.wait(_REDRAW_SECONDS):
            with _lock:
                self._draw()

    def _draw(self) -> None:
        if self._closed.is_set() or _running[-1] is not self:
            return
        seconds = time.monotonic() - self._begin
        text = f"{self._text}, {seconds:.0f} s" if seconds >= 1 else self._text
        if self._in_place:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line = text if len(text) < width else f"{text[: width - 2]}…"
            if line == self._drawn:
                return
            self._drawn = line
            shown = line if os.environ.get("NO_COLOR") else click.style(line, dim=True)
            click.echo(f"{_ERASE}{shown}", err=True, nl=False, color=True)
        elif seconds >= self._due:
            self._due = 2 * seconds
            click.echo(text, err=True)


@contextmanager
def alone() -> Iterator[None]:
    """While the block prints something else, no line is drawn or in the way."""
    with _lock:
        if _running:
            _running[-1].erase()
        yield
