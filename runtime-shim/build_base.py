"""Create the base of every build: CPython with the runtime shim linked into it, and its standard library.

    cpython.wasm    the component: all libraries as code, and the memory before any of it ran
    cpython.zip     the standard library that belongs to it
    cpython.json    the version of componentize-py, and the SHA-256 of both files

componentize-py links and starts CPython. This takes seconds and has the same result for everybody, so it happens when
pwasm itself is built, and filter authors do not need componentize-py. Its own snapshot, of a started interpreter,
differs from run to run. Builds start from the memory before that instead, of which the shim has kept a copy
(pwasm_shim/src/build.c). The copy replaces the snapshot, so the same sources and the same componentize-py produce the
same files. `build_shim.py` compiles the shim and then runs this.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "compiler")]

import pwasm_shim  # noqa: E402
from pwasm_compiler.component.decode import decode_component  # noqa: E402
from pwasm_compiler.component.graph import instance_graph  # noqa: E402
from pwasm_compiler.cpython314 import EXTENSION_SUFFIX, LIBRARY  # noqa: E402
from pwasm_compiler.errors import LinkError  # noqa: E402
from pwasm_compiler.files import write_atomically  # noqa: E402
from pwasm_compiler.link.layout import Layout, lay_out  # noqa: E402
from pwasm_compiler.link.memory import global_address, read_memory  # noqa: E402
from pwasm_compiler.link.resolve import ABI_MARKER, resolve  # noqa: E402
from pwasm_compiler.link.snapshot import with_memory  # noqa: E402
from pwasm_compiler.wasm import encode  # noqa: E402
from pwasm_compiler.wasm.module import PAGE, ConstExpr, Global, Module  # noqa: E402
from pwasm_compiler.wasm.reader import Reader  # noqa: E402

_TIMEOUT_SECONDS = 600

# Runs in the guest that componentize-py starts; the only way to its standard library without relying on its internals.
_APP = f"""\
import os

import wit_world

for folder, folders, names in os.walk({LIBRARY!r}):
    copy = "/0" + folder
    os.mkdir(copy)
    for name in names:
        if not name.endswith(".pyc"):
            with open(f"{{folder}}/{{name}}", "rb") as source, open(f"{{copy}}/{{name}}", "wb") as target:
                target.write(source.read())


class WitWorld(wit_world.WitWorld):
    def nop(self) -> None:
        pass
"""

# The library call instead of the command line tool, which appends any site-packages it finds to the path.
_COMPONENTIZE = """\
import sys, componentize_py
wit, world, folder, app, output = sys.argv[1:]
componentize_py.componentize([wit], [world], [], False, None, [folder], [], app, output, False, [], [], False, None)
"""


def build() -> Path:
    """Run componentize-py and write the three files into the package; returns the folder."""
    component, library = make()
    folder = pwasm_shim.component().parent
    write_atomically(pwasm_shim.component(), component)
    write_atomically(pwasm_shim.standard_library(), library)
    made = {
        "componentize-py": importlib.metadata.version("componentize-py"),
        "component": hashlib.sha256(component).hexdigest(),
        "library": hashlib.sha256(library).hexdigest(),
    }
    write_atomically(pwasm_shim.origin(), (json.dumps(made, indent=1) + "\n").encode())
    return folder


def make() -> tuple[bytes, bytes]:
    """Create the component and the standard library."""
    with tempfile.TemporaryDirectory(prefix="pwasm-") as scratch:
        folder, output = Path(scratch, "stage"), Path(scratch, "component.wasm")
        folder.mkdir()
        shutil.copyfile(pwasm_shim.library(), folder / (pwasm_shim.MODULE_NAME + EXTENSION_SUFFIX))
        (folder / "app.py").write_text(_APP, encoding="utf-8")
        command = [
            sys.executable,
            "-c",
            _COMPONENTIZE,
            pwasm_shim.world(),
            pwasm_shim.WORLD_NAME,
            folder,
            "app",
            output,
        ]
        subprocess.run(list(map(str, command)), cwd=scratch, check=True, timeout=_TIMEOUT_SECONDS)
        return without_snapshot(output.read_bytes()), _zip(folder / LIBRARY.lstrip("/"))


def without_snapshot(component: bytes) -> bytes:
    """`component` with the initial memory, of which the shim has kept a copy (src/build.c), as its data.

    The only other modules with variables are those of wit-component's WASI adapter: globals that are initially zero.
    """
    layout = lay_out(resolve(instance_graph(decode_component(component)), ABI_MARKER), component)
    owner = layout.plan.graph.instances[layout.plan.memory.instance].module
    pristine = with_memory(layout, _pristine_memory(layout))
    data = [encode.active_data(placed.address, placed.data) for placed in pristine.data]
    if len(owner.data) != len(layout.data):
        raise LinkError("several modules of the component have data")
    changed = {owner.offset: (owner, {"memory": [encode.limits(pristine.memory)], "data": data})}
    for instance in layout.plan.graph.instances:
        module = instance.module
        if any(item.type.mutable for item in module.globals) and module is not owner:
            zeros = [encode.global_(_begun(item)) for item in module.globals]
            changed[module.offset] = module, {"global": zeros}
    for _, (module, sections) in sorted(changed.items(), reverse=True):  # backwards, so that offsets stay valid
        contents = {name: encode.vector(items) for name, items in sections.items()}
        component = _with_sections(component, module, contents)
    return component


def _begun(item: Global) -> Global:
    return replace(item, init=ConstExpr(item.type.value, 0)) if item.type.mutable else item


def _pristine_memory(layout: Layout) -> bytes:
    place = global_address(layout, "pwasm_pristine")
    address, pages = (int.from_bytes(read_memory(layout, place + at, 4), "little") for at in (0, 4))
    if pages == 0:
        raise LinkError("the runtime shim has not kept a copy of the memory", offset=layout.plan.shim.module.offset)
    return read_memory(layout, address, pages * PAGE)


def _with_sections(component: bytes, module: Module, contents: dict[str, bytes]) -> bytes:
    """`component` with the sections of one of its core modules replaced by `contents`."""
    start = module.offset + len(encode.PREAMBLE)
    parts = [encode.PREAMBLE]
    for span in module.sections:
        end = span.start + span.size
        new = contents.get(span.name)
        parts.append(component[start:end] if new is None else encode.raw_section(component[start], new))
        start = end
    header, end = _section_around(component, module.offset)
    if end != start:
        raise LinkError("the module has more than its sections", offset=start)
    return component[:header] + encode.raw_section(component[header], b"".join(parts)) + component[end:]


def _section_around(component: bytes, contents: int) -> tuple[int, int]:
    """Start and end of the component's section whose contents start at `contents`."""
    reader = Reader(memoryview(component), len(encode.PREAMBLE))
    while True:
        header = reader.position
        reader.byte()
        size = reader.u32()
        if reader.position == contents:
            return header, contents + size
        reader.position += size


def _zip(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return file.getvalue()


if __name__ == "__main__":
    print(build())
