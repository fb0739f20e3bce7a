"""`pwasm inspect`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from pwasm_compiler import inspect as inspection
from pwasm_compiler.errors import UsageError


@click.command(short_help="Show what is in a Wasm module.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what is in a Wasm module: size, sections, callbacks, host functions.

    FILE is a core Wasm module, such as main.wasm.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}", hint="make one with: pwasm build")
    report = inspection.report(file)
    click.echo(json.dumps(report, indent=2) if as_json else inspection.render(report))
