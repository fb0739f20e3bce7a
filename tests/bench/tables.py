"""A table that reads the same on a terminal and in a Markdown document."""

from __future__ import annotations

from collections.abc import Sequence

from pwasm_compiler.bench.figures import Spread

NONE = "-"
_REMARK_CHARACTERS = 300


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned table. A row of two cells under more columns is a name and a remark, which widens no column."""
    full = [columns, *(row for row in rows if len(row) == len(columns))]
    widths = [max(3, *(len(row[at]) for row in full)) for at in range(len(columns))]
    widths[0] = max(len(row[0]) for row in (columns, *rows))
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (columns, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    if len(cells) < len(widths):
        remark = " ".join(cells[1].split())  # a cell is one line
        return f"| {cells[0]:<{widths[0]}} | {remark[:_REMARK_CHARACTERS]} |"
    padded = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([f'{cells[0]:<{widths[0]}}', *padded])} |"


def number(value: float | None, form: str) -> str:
    """A figure in the format `form`; a value that rounds to zero has no sign."""
    if value is None:
        return NONE
    text = format(value, form)
    return text.removeprefix("-") if not text.strip("-0.") else text


def with_range(value: Spread | None, form: str) -> str:
    """A median, with the lowest and the highest behind it."""
    if value is None:
        return NONE
    return f"{value.median:{form}} ({value.low:{form}} … {value.high:{form}})"
