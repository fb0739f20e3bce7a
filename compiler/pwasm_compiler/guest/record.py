"""What the guest passes to the build in the frozen memory: the build record, written by `pwasm._guest.freeze`.

It is the `repr` of plain values. The SDK that writes it and this compiler are the same version, so a missing or unknown
field is an error.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..cpython314 import ABSENT, REMOVED_FROM_STANDARD_LIBRARY, VERSION
from ..errors import BuildError, split_hint
from ..link.layout import Layout
from ..link.memory import global_address, read_memory
from ..selection import is_test

_T = TypeVar("_T")
_SHOWN = 40
"""Lines of what was printed that an error shows."""
RECORD = "pwasm_build_record"
"""Where the guest leaves the record: a pointer and a size."""
_NOT_IN_WASM = {
    **{name: why for name, (_, why) in ABSENT.items()},
    **dict(ABSENT.values()),
    "multiprocessing": "there are no processes",
    "_multiprocessing": "there are no processes",
}
_HINTS = (
    # type of the exception, what its text contains, hint
    ("SystemExit", "", "module-level code runs at build time; remove the call to sys.exit()"),
    ("MemoryError", "", "a build has 1 GiB of memory; keep large data out of source code and of module-level code"),
    (
        "ImportError",
        "attempted relative import",
        "filter.py and the modules beside it are in no package: import them by their names, without dots",
    ),
    (
        "RecursionError",
        "during compilation",
        "a source, filter.py unless another is named, has an expression with too many terms or levels: split it",
    ),
)


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """An imported filter."""

    sdk: str
    python: str
    warnings: Sequence[str]
    modules: Sequence[str]
    """All imported modules, sorted."""
    callbacks: Sequence[str]
    """What the module must export."""
    written: Mapping[str, Sequence[str] | None]
    """Each registered class with the callbacks that its author defined; None for a factory."""
    hold_headers: Mapping[str, str | None]
    """root_id → "required", "wanted" or None (see `pwasm_compiler.held_headers`); empty if no class needs anything."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What a phase before the last has done."""

    failed: Sequence[tuple[int, str, str]]
    """Late imports that failed: which, the type of the exception, and its message."""
    unknown: Sequence[int]
    """Which codecs are unknown."""
    modules: Sequence[str]
    """All imported modules, sorted."""


@dataclass(frozen=True, slots=True)
class RegistrationFailure:
    """The filter registers nothing, or something invalid."""

    message: str

    def error(self, _prints: str) -> BuildError:
        """The error shown to the user."""
        what, hint = split_hint(self.message)
        return BuildError(what, hint=hint)


@dataclass(frozen=True, slots=True)
class IncludeFailure:
    """A module of `[tool.pwasm] include` cannot be imported."""

    module: str
    message: str

    def error(self, _prints: str) -> BuildError:
        """The error shown to the user."""
        return BuildError(
            f"cannot import module {self.module!r} from [tool.pwasm] include",
            why=self.message,
            hint="add its distribution to the dependencies in pyproject.toml",
        )


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """Importing the filter raised an exception of the type `exception`."""

    exception: str
    module: str
    """The module named in an ImportError."""
    traceback: str

    def error(self, prints: str) -> BuildError:
        """The error shown to the user."""
        why = self.traceback.rstrip() + printed_meanwhile(prints)
        if self.exception == "ModuleNotFoundError":
            return BuildError(
                f"the filter imports {self.module!r}, which is not available", why=why, hint=hint_for(self.module)
            )
        ended = self.exception == "SystemExit"
        what = "the filter exits the process during import" if ended else "cannot import the filter"
        hints = [hint for kind, text, hint in _HINTS if kind == self.exception and text in self.traceback]
        return BuildError(what, why=why, hint=" ".join(hints))


_FAILURES: Mapping[str, type[RegistrationFailure | IncludeFailure | ImportFailure]] = {
    "registration": RegistrationFailure,
    "include": IncludeFailure,
    "import": ImportFailure,
}


def hint_for(module: str) -> str:
    """What to do about a module that is not there."""
    top = module.partition(".")[0]
    if module in _NOT_IN_WASM:
        return f"{module} does not exist in a Wasm module: {_NOT_IN_WASM[module]}"
    if top in REMOVED_FROM_STANDARD_LIBRARY:
        version = REMOVED_FROM_STANDARD_LIBRARY[top]
        return f"Python {version} has removed {top}, and a module has {VERSION}; PyPI may have it as standard-{top}"
    if any(is_test(f"{part}.py") or is_test(part) for part in module.split(".")):
        return f"files with names like {module} are taken for tests and left out; rename it if it is part of the filter"
    return "add its distribution to [project] dependencies in pyproject.toml; it must be pure Python"


def read_record(layout: Layout, prints: str) -> BuildRecord:
    """The record of a finished import in the memory of `layout`; `prints` is what was printed so far, for an error.

    Raises:
        BuildError: the filter could not be imported or registers nothing, or the record has an unknown format.
    """
    address = global_address(layout, RECORD)
    pointer, size = (int.from_bytes(read_memory(layout, address + at, 4), "little") for at in (0, 4))
    if size == 0:
        raise BuildError("freezing the filter failed", why="The guest left no build record.")
    return parse_record(read_memory(layout, pointer, size).decode(), BuildRecord, prints)


def parse_record(text: str, wanted: type[_T], prints: str = "") -> _T:
    """The record in `text`, with the fields of `wanted`; the same errors as `read_record`."""
    fields: dict[str, Any] = ast.literal_eval(text)
    if "failure" not in fields:
        return _exactly(wanted, fields)
    kind, failure = fields["failure"]
    if kind not in _FAILURES:
        raise _unknown(f"Unknown kind of failure {kind!r}.")
    raise _exactly(_FAILURES[kind], failure).error(prints)


def printed_meanwhile(prints: str) -> str:
    """The part of an error that shows the end of what was printed, or ""."""
    lines = prints.rstrip().splitlines()
    left_out = f", {len(lines) - _SHOWN:,} lines before these" if len(lines) > _SHOWN else ""
    return "\n".join([f"\n(printed during import{left_out})", *lines[-_SHOWN:]]) if prints.strip() else ""


def _exactly(wanted: type[_T], fields: Mapping[str, Any]) -> _T:
    names = {field.name for field in dataclasses.fields(wanted)}  # type: ignore[arg-type]
    if fields.keys() != names:
        missing, unknown = (
            ", ".join(sorted(some)) or "none" for some in (names - fields.keys(), fields.keys() - names)
        )
        raise _unknown(f"Missing fields: {missing}; unknown fields: {unknown}.")
    return wanted(**fields)


def _unknown(why: str) -> BuildError:
    return BuildError(
        "the SDK's build record is incompatible with this compiler",
        why=why,
        hint="the SDK and the compiler must be the same version: reinstall pwasm-sdk",
    )
