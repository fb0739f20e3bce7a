"""The base of every build, shipped with pwasm: CPython linked with the runtime shim, and its standard library.

It is created when pwasm itself is built (runtime-shim/build_base.py).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import pwasm_shim

from ..errors import ToolError


@dataclass(frozen=True, slots=True)
class Base:
    """`key` is a digest of the rest; `maker` is the version of componentize-py that linked it."""

    key: str
    maker: str
    component: bytes
    library: bytes


def load_base() -> Base:
    """From the installed package.

    Raises:
        ToolError: it is missing or damaged.
    """
    try:
        made = json.loads(pwasm_shim.origin().read_bytes())
        component, library = pwasm_shim.component().read_bytes(), pwasm_shim.standard_library().read_bytes()
        maker, wanted = made["componentize-py"], (made["component"], made["library"])
    except FileNotFoundError as error:
        raise _unusable(f"{error.filename} is missing") from error
    except (OSError, ValueError, KeyError) as error:
        raise _unusable(f"{pwasm_shim.origin().parent}: {error}") from error
    found = tuple(hashlib.sha256(data).hexdigest() for data in (component, library))
    if found != wanted:
        raise _unusable(f"the files in {pwasm_shim.origin().parent} differ from those that were installed")
    return Base(hashlib.sha256("\n".join(found).encode()).hexdigest(), maker, component, library)


def _unusable(why: str) -> ToolError:
    return ToolError("the build-time Python is unusable", why=why, hint="reinstall pwasm; in a checkout: make setup")
