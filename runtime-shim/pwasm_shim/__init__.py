"""The runtime shim: the ABI adapter that is linked into every filter.

C sources by topic in `src/`, compiled by `build_shim.py` when pwasm itself is built:

    abi.h, hostcalls.inc, callbacks.inc    generated from the ABI table (tools/abi_views.py)
    python_abi.h, cpython314.h             what of CPython is used: promised, and not
    module       the extension module: its table of functions, what the SDK needs at build and at start-up
    hostcalls    hostcalls as Python functions
    callbacks    callbacks as exports, which call Python
    streams      usual streams without the Python dispatcher, on its records
    records      the SDK's records as C sees them
    plans        contexts that are given from stream to stream
    shortcuts    functions of the SDK that filters call for every request
    budget       the step budget
    wasi         the part of WASI that CPython's libc imports
    build        what runs only while pwasm builds
    removed      what is called in the place of code that was left out

The library is linked into CPython then (`build_base.py`); what comes out is package data.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
MODULE_NAME = "_pwasm_shim"
"""Import name of the extension inside the guest."""


def library() -> Path:
    """The compiled shim, a Wasm dynamic library.

    Raises:
        FileNotFoundError: in a checkout that was never installed, where the build hook has not run.
    """
    path = _HERE / f"{MODULE_NAME}.wasm"
    if not path.is_file():
        raise FileNotFoundError(f"the runtime shim is not compiled ({path.name} is missing); run `pip install -e .`")
    return path


def world() -> Path:
    """The WIT world that componentize-py builds for."""
    return _HERE / "world.wit"


def component() -> Path:
    """CPython and the shim, as componentize-py links them."""
    return _HERE / "cpython.wasm"


def standard_library() -> Path:
    """CPython's standard library, a ZIP file of sources."""
    return _HERE / "cpython.zip"


def origin() -> Path:
    """Who made these two, and their digests, in JSON."""
    return _HERE / "cpython.json"


WORLD_NAME = "pwasm-plugin"
