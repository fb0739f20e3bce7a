"""What componentize-py hands out, once for each version of it and of the runtime shim.

    component.wasm    every library as code, linked: CPython, libc, the shim …
    python.zip        the standard library that belongs to it

Its own snapshot, of an interpreter that has started, is not used (see runtime-shim/pwasm_shim/src/build.c).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pwasm_shim

from .. import tools
from ..cache import Cache
from ..errors import ToolError

LIBRARY = "/python"
"""Where the standard library lies in the guest; componentize-py's name for it."""

# Runs in the guest that componentize-py starts; the only way to its standard library that does not read its innards.
_APP = """\
import os

import wit_world

for folder, folders, names in os.walk("/python"):
    copy = "/0" + folder
    os.mkdir(copy)
    for name in names:
        if not name.endswith(".pyc"):
            with open(f"{folder}/{name}", "rb") as source, open(f"{copy}/{name}", "wb") as target:
                target.write(source.read())


class WitWorld(wit_world.WitWorld):
    def nop(self) -> None:
        pass
"""


_LEVEL = 1
"""Of compression: half the time of the default, and 3.9 instead of 3.3 MB."""


@dataclass(frozen=True, slots=True)
class Base:
    """`key` is a digest of everything the rest depends on."""

    key: str
    component: bytes
    library: bytes


def load_base(cache: Cache, progress: Callable[[str], None]) -> Base:
    """From the cache, or made; that takes seconds, and `progress` is told of it.

    Raises:
        ToolError: componentize-py is missing or failed.
    """
    key = _key()
    component, library = cache.read("runtime", f"{key}.wasm"), cache.read("runtime", f"{key}.zip")
    if component is None or library is None:
        progress("preparing the build's Python, once for each version of pwasm")
        component, library = make()
        cache.write("runtime", f"{key}.wasm", component)
        cache.write("runtime", f"{key}.zip", library)
    return Base(key, component, library)


def _key() -> str:
    try:
        version = importlib.metadata.version("componentize-py")
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError("componentize-py is not installed", hint="pip install pwasm-sdk") from error
    digest = hashlib.sha256(f"{version}\0{_APP}\0".encode())
    digest.update(pwasm_shim.library().read_bytes())
    digest.update(pwasm_shim.world().read_bytes())
    return digest.hexdigest()


def make() -> tuple[bytes, bytes]:
    """Component and standard library, straight from componentize-py."""
    with tempfile.TemporaryDirectory(prefix="pwasm-") as scratch:
        folder, output = Path(scratch, "stage"), Path(scratch, "component.wasm")
        folder.mkdir()
        shutil.copyfile(pwasm_shim.library(), folder / pwasm_shim.library().name)
        (folder / "app.py").write_text(_APP, encoding="utf-8")
        tools.componentize(folder, "app", output)
        return output.read_bytes(), _zip(folder / LIBRARY.strip("/"))


def _zip(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED, _LEVEL)
    return file.getvalue()
