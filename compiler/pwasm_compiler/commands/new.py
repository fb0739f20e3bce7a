"""`pwasm new`"""

from __future__ import annotations

from pathlib import Path

import click

from pwasm_compiler import scaffold


@click.command(short_help="Make a folder with a new filter.")
@click.argument("name")
def new(name: str) -> None:
    """Make a folder NAME with a new filter: filter.py, a test, and what to do next.

    The filter adds a header to each response. It builds, runs and passes its test as it stands. Nothing that exists
    is overwritten.
    """
    files = scaffold.create(Path(name))
    for file in files:
        click.echo(file)
    click.echo(f"\nnext: pwasm test {name}; pwasm run {name}", err=True)
