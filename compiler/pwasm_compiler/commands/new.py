"""`pwasm new`"""

from __future__ import annotations

from pathlib import Path

import click

from pwasm_compiler import scaffold
from pwasm_compiler.console import say


@click.command(short_help="Create a new filter.")
@click.argument("name")
@click.option(
    "--from",
    "example",
    metavar="EXAMPLE",
    shell_complete=lambda _context, _parameter, begun: [name for name in scaffold.examples() if name.startswith(begun)],
    help="Copy an example: its filter, test and Envoy configuration.",
)
def new(name: str, example: str | None) -> None:
    """Create the folder NAME with a new filter: filter.py, a test, and a README.

    The filter adds a header to each response. With --from it is a copy of one of pwasm's examples, such as
    http_headers, shared_data or network; an unknown EXAMPLE is answered with the list of examples. It builds, runs and
    passes its test as is. Existing files are never overwritten.
    """
    files = scaffold.create(Path(name), example)
    for file in files:
        say(str(file))
    say(f"\nnext: pwasm test {name}; pwasm run {name}", err=True)
