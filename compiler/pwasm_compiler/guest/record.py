"""What the guest leaves for the build in the frozen memory: the build record, made by `pwasm._guest.freeze`.

It is the `repr` of plain values. The SDK that writes it and this compiler are one version, so a field that is missing,
or that nobody knows here, is an error.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import BuildError, split_hint
from ..link.layout import Layout
from ..link.memory import global_address, read_memory

_T = TypeVar("_T")
_NOT_IN_WASM = {
    "ssl": "Envoy does TLS",
    "_ssl": "Envoy does TLS",
    "ctypes": "native code cannot be loaded",
    "_ctypes": "native code cannot be loaded",
    "multiprocessing": "there are no processes",
    "_multiprocessing": "there are no processes",
}
_HINTS = {
    # type of the exception → what to do
    "SystemExit": "top-level code runs at build; remove the call of sys.exit()",
    "MemoryError": "a build has 1 GiB of memory; keep large data out of source code and of what runs at the top level",
}


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A filter that was imported."""

    sdk: str
    python: str
    warnings: Sequence[str]
    modules: Sequence[str]
    """Everything that is imported, sorted."""
    callbacks: Sequence[str]
    """What the module must export."""
    written: Mapping[str, Sequence[str] | None]
    """Each registered class with the callbacks that its author wrote; None for a factory."""


@dataclass(frozen=True, slots=True)
class RegistrationFailure:
    """The filter registers nothing, or what it must not."""

    message: str

    def error(self, _prints: str) -> BuildError:
        """As the user sees it."""
        what, hint = split_hint(self.message)
        return BuildError(what, hint=hint)


@dataclass(frozen=True, slots=True)
class IncludeFailure:
    """A module of `[tool.pwasm] include` cannot be imported."""

    module: str
    message: str

    def error(self, _prints: str) -> BuildError:
        """As the user sees it."""
        return BuildError(
            f"module {self.module!r} of [tool.pwasm] include cannot be imported",
            why=self.message,
            hint="add its distribution to the dependencies in pyproject.toml",
        )


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """The import of the filter ended in an exception of the type `exception`."""

    exception: str
    module: str
    """That an ImportError names."""
    traceback: str

    def error(self, prints: str) -> BuildError:
        """As the user sees it."""
        why = self.traceback.rstrip() + printed_meanwhile(prints)
        if self.exception == "ModuleNotFoundError":
            return BuildError(f"the filter imports {self.module!r}, which is not there", why=why, hint=self._missing())
        ended = self.exception == "SystemExit"
        what = "the filter ends the process while it is imported" if ended else "the filter cannot be imported"
        return BuildError(what, why=why, hint=_HINTS.get(self.exception, ""))

    def _missing(self) -> str:
        if self.module in _NOT_IN_WASM:
            return f"{self.module} does not exist in a Wasm module: {_NOT_IN_WASM[self.module]}"
        return "add its distribution to [project] dependencies in pyproject.toml; it must be pure Python"


_FAILURES: Mapping[str, type[RegistrationFailure | IncludeFailure | ImportFailure]] = {
    "registration": RegistrationFailure,
    "include": IncludeFailure,
    "import": ImportFailure,
}


def read_record(layout: Layout, prints: str) -> BuildRecord:
    """The record in the memory of `layout`; `prints` is what was printed until then, for an error.

    Raises:
        BuildError: the filter could not be imported, or registers nothing; or this is not the record that is known.
    """
    address = global_address(layout, "pwasm_build_record")
    pointer, size = (int.from_bytes(read_memory(layout, address + at, 4), "little") for at in (0, 4))
    if size == 0:
        raise BuildError("the filter was not frozen", why="the guest left no build record")
    return parse_record(read_memory(layout, pointer, size).decode(), prints)


def parse_record(text: str, prints: str = "") -> BuildRecord:
    """The record in `text`; the errors are those of `read_record`."""
    fields: dict[str, Any] = ast.literal_eval(text)
    if "failure" not in fields:
        return _exactly(BuildRecord, fields)
    kind, failure = fields["failure"]
    if kind not in _FAILURES:
        raise _unknown(f"Nobody knows a failure of the kind {kind!r} here.")
    raise _exactly(_FAILURES[kind], failure).error(prints)


def printed_meanwhile(prints: str) -> str:
    """The part of an error that shows what was printed, or nothing."""
    return f"\n(printed while it was imported)\n{prints.rstrip()}" if prints.strip() else ""


def _exactly(wanted: type[_T], fields: Mapping[str, Any]) -> _T:
    names = {field.name for field in dataclasses.fields(wanted)}  # type: ignore[arg-type]
    if fields.keys() != names:
        missing, unknown = (
            ", ".join(sorted(some)) or "none" for some in (names - fields.keys(), fields.keys() - names)
        )
        raise _unknown(f"Fields that are missing: {missing}; that are not known here: {unknown}.")
    return wanted(**fields)


def _unknown(why: str) -> BuildError:
    return BuildError(
        "the SDK's build record is not the one that this compiler reads",
        why=why,
        hint="the SDK and the compiler have to be one version: install pwasm-sdk again",
    )
