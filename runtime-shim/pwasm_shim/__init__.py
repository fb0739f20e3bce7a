"""The runtime shim: the ABI adapter that is linked into every filter.

C sources by topic in `src/`, compiled by `build_shim.py` when pwasm itself is built:

    abi.h, hostcalls.inc, callbacks.inc    generated from the ABI table (tools/abi_views.py)
    python_abi.h, cpython314.h             the parts of CPython in use: its stable ABI, and internals
    module       the extension module: its method table, functions for the build and for the start of a VM
    hostcalls    hostcalls as Python functions
    callbacks    callbacks as exports that call Python
    streams      common streams without the Python dispatcher, on its records
    records      access to the SDK's records from C
    plans        contexts that are reused by several streams
    shortcuts    functions of the SDK that filters call for every request
    budget       the step budget
    wasi         the part of WASI that CPython's libc imports
    build        code that runs only while pwasm builds
    removed      replacements for code that was removed from a module

The library is then linked into CPython (`build_base.py`); the result is package data.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
MODULE_NAME = "_pwasm_shim"
"""Import name of the extension inside the guest."""


def library() -> Path:
    """The compiled shim, a Wasm dynamic library.

    Raises:
        FileNotFoundError: the build hook has not run, as in a checkout that was never installed.
    """
    path = _HERE / f"{MODULE_NAME}.wasm"
    if not path.is_file():
        raise FileNotFoundError(f"the runtime shim is not compiled ({path.name} is missing); run `pip install -e .`")
    return path


def world() -> Path:
    """The WIT world that componentize-py builds for."""
    return _HERE / "world.wit"


def component() -> Path:
    """CPython and the shim, linked by componentize-py."""
    return _HERE / "cpython.wasm"


def standard_library() -> Path:
    """CPython's standard library, a ZIP file of sources."""
    return _HERE / "cpython.zip"


def origin() -> Path:
    """The version of componentize-py that created the two, and their digests, as JSON."""
    return _HERE / "cpython.json"


WORLD_NAME = "pwasm-plugin"
