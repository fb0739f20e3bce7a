"""Runs once, while the snapshot is taken: import the filter, register its callbacks, and report to the compiler.

A failure becomes part of the build record instead of an exception, about which the build would learn only that there
was one. The record is the `repr` of a dict of plain values. The compiler reads it into the classes of
`pwasm_compiler.guest.record`, and accepts exactly their fields: those of a `BuildRecord`, or `failure` alone, which is
a kind and the fields of that kind.
"""

from __future__ import annotations

import gc
import io
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

from .. import __version__, entrypoint, log
from .._dispatch.exports import callbacks_written, edits_undeclared, headers_held
from .._typing import Any
from ..errors import RegistrationError
from . import bundle, randomness, vm
from .import_effects import Watch

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_…; tools/check_cpython.py compares these with the interpreter
_IMMUTABLE = 1 << 8
PRINTED = 0
"""The log level that marks a piece of printed output for the build; every other level marks a complete record."""


def run(
    entry: str,
    *,
    root: str,
    sources: list[str],
    data_files: list[str],
    include: list[str],
    lazy_imports: dict[str, str],
    encodings: dict[str, str],
    absent: dict[str, Any] | None = None,
) -> None:
    """Import module `entry` and freeze what it registers.

    Args:
        entry: name of the filter's module.
        root: the staged folder inside the guest.
        sources: the filter's own files, relative to `root`; their lines are kept for tracebacks.
        data_files: files to keep in memory, relative to `root`.
        include: modules named in `[tool.pwasm] include`; a missing one is an error.
        lazy_imports: module → place of an import that runs only at run time; missing modules are reported.
        encodings: codec → place where it is named; unknown codecs are reported.
        absent: who imports modules that Python does not have here (see `absent.Finder`); None if nobody does.
    """
    record: dict[str, Any] = {}
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Prints()
    try:
        with _absent_modules(root, sources, absent):
            record = _import_all(entry, root, sources, data_files, include, lazy_imports, encodings)
    except BaseException as error:
        record = {"failure": _describe(error, root)}
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    _forget_names()
    _tidy(frozenset(lazy_imports).union(include))
    if "failure" not in record:
        names = sorted(sys.modules)
        record |= {"sdk": __version__, "python": sys.version.split()[0], "modules": names}
    gc.collect()
    gc.freeze()  # collections at run time need not traverse objects that are never freed
    vm.set_build_record(repr(record).encode("utf-8", "backslashreplace"))


@contextmanager
def _absent_modules(root: str, sources: list[str], absent: dict[str, Any] | None) -> Iterator[None]:
    if absent is None:
        yield
        return
    from . import absent as finder

    finder.install(root, frozenset(sources), absent)
    try:
        yield
    finally:
        finder.remove()


def _forget_names() -> None:
    """Remove the modules that check names: a VM has no use for them."""
    from .. import _names

    package, _, room = _names.__name__.rpartition(".")
    for name in [name for name in sys.modules if name == _names.__name__ or name.startswith(f"{_names.__name__}.")]:
        del sys.modules[name]
    delattr(sys.modules[package], room)


def _tidy(wanted: frozenset[str]) -> None:
    """Release whatever only the build needs, since every VM is a copy of this memory."""
    sys.path_importer_cache.clear()  # lists of files that no longer exist
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if getattr(hook, "__module__", "") != "zipimport"]
    for name in {"site", "zipimport"} - wanted:
        module = sys.modules.pop(name, None)
        if any(module is value for other in list(sys.modules.values()) for value in vars(other).values()):
            sys.modules[name] = module  # type: ignore[assignment]  # the filter, or one of its dependencies, has imported it
    _shorten_stdin()
    _drop_docs()


def _drop_docs() -> None:
    """Drop the docstrings that no compiler can omit: those of modules and types in C, and those the SDK generates."""
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) is None:
            module.__doc__ = None
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__.startswith("pwasm."):
                value.__doc__ = None
    pending: list[type] = [object]
    while pending:
        found = pending.pop()
        pending += type.__subclasses__(found)
        if not found.__flags__ & _HEAP_TYPE or found.__flags__ & _IMMUTABLE:
            (names,) = gc.get_referents(found.__dict__)  # the dict behind the proxy
            if isinstance(names.get("__doc__"), str):  # otherwise it is a descriptor for the docstrings of instances
                names["__doc__"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys._clear_type_cache()  # it may refer to one of them


def _shorten_stdin() -> None:
    """Replace the 128 KiB buffer of stdin, which is always empty."""
    old = sys.stdin
    if old is sys.__stdin__ and isinstance(old, io.TextIOWrapper):
        encoding, errors = old.encoding, old.errors
        sys.stdin = sys.__stdin__ = io.TextIOWrapper(  # type: ignore[misc]
            io.BufferedReader(old.detach().detach(), 16), encoding, errors
        )


class _Prints(io.StringIO):
    """Reports printed output immediately, so that it is not lost if the import never ends."""

    def write(self, text: str) -> int:
        vm.host.proxy_log(PRINTED, text)
        return len(text)


def _import_all(
    entry: str,
    root: str,
    sources: list[str],
    data_files: list[str],
    include: list[str],
    lazy_imports: dict[str, str],
    encodings: dict[str, str],
) -> dict[str, Any]:
    """Import everything and register the filter's callbacks; returns the part of the record with the findings."""
    sys.dont_write_bytecode = True
    from .._names import functions, spelling  # removed again before the snapshot

    functions.root = f"{root.rstrip('/')}/"
    functions.sources = frozenset(sources)
    randomness.watch()
    bundle.install(root, frozenset(sources))
    bundle.keep_data_files(data_files)
    vm.guard_python()
    watch = Watch()
    watch.start()
    bundle.watch = watch.add
    __import__(entry)
    bundle.watch = None
    noted = watch.stop()
    log.install_logging_handler()
    for name in include:
        try:
            __import__(name)
        except ImportError as error:
            return {"failure": ("include", {"module": name, "message": str(error)})}
    noted += _import_lazy(lazy_imports)
    noted += _unknown_encodings(encodings)
    try:
        registration = entrypoint.registration()
        spelling.check_all()
    except Exception as error:
        return {"failure": ("registration", {"message": str(error)})}
    callbacks = vm.install(registration)
    randomness.stop_watching()
    noted += edits_undeclared(registration)
    return {
        "warnings": noted,
        "callbacks": callbacks,
        "written": callbacks_written(registration),
        "hold_headers": headers_held(registration),
    }


def _import_lazy(lazy_imports: dict[str, str]) -> list[str]:
    """Import the modules that the filter imports at run time; returns warnings for those that are missing."""
    missing = []
    for name, place in lazy_imports.items():
        try:
            __import__(name)
        except ImportError as error:
            if place:
                missing.append(f"{place} imports {name} at run time, which will fail: {error}")
    return missing


def _unknown_encodings(encodings: dict[str, str]) -> list[str]:
    unknown = []
    for name, place in encodings.items():
        try:
            "".encode(name)
        except LookupError:
            unknown.append(f"{place} uses the unknown encoding {name!r}")
    return unknown


def _describe(error: BaseException, root: str) -> tuple[str, dict[str, str]]:
    """The error as the user should see it: with frames of their own files and dependencies only.

    Their file names are relative to the staged folder (see `bundle`), unlike those of Python's own modules and the SDK.
    """
    if isinstance(error, RegistrationError):  # its message contains the places
        return "registration", {"message": str(error)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename[:1] not in ("/", "<")]
    lines = ["Traceback (most recent call last):\n"] if frames else []
    lines += traceback.format_list(frames)
    lines += traceback.format_exception_only(type(error), error)
    return "import", {
        "exception": type(error).__name__,
        "module": getattr(error, "name", None) or "",
        "traceback": "".join(lines).replace(root + "/", ""),
    }
