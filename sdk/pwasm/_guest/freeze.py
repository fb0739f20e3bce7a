"""Runs while the snapshot is taken: import the filter, register its callbacks, and report to the compiler.

In three phases, each of which the compiler calls: `begin` imports the filter, `late`, any number of times, what its
functions import when they run, and `finish` registers it and tidies up.

A failure becomes part of the build record instead of an exception, about which the build would learn only that there
was one. The record is the `repr` of a dict of plain values. The compiler reads it into the classes of
`pwasm_compiler.guest.record`, and accepts exactly their fields: those of a `Phase`, those of a `BuildRecord` after
`finish`, or `failure` alone, which is a kind and the fields of that kind.
"""

from __future__ import annotations

import gc
import io
import sys
import traceback
import warnings
from collections.abc import Callable
from types import FunctionType

from .. import __version__, entrypoint, log
from .._dispatch.exports import callbacks_written, edits_undeclared, headers_held
from .._reflect import module_name, namespace_of
from .._typing import Any
from ..errors import RegistrationError
from . import bundle, randomness, unresolved, vm
from .import_effects import Watch

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_…; tools/check_cpython.py compares these with the interpreter
_IMMUTABLE = 1 << 8
PRINTED = 0
"""The log level that marks a piece of printed output for the build; every other level marks a complete record."""


def begin(
    entry: str,
    *,
    root: str,
    sources: list[str],
    data_files: list[str],
    include: list[str],
    absent: dict[str, Any] | None = None,
) -> None:
    """Import module `entry`.

    Args:
        entry: name of the filter's module.
        root: the staged folder inside the guest.
        sources: the filter's own files, relative to `root`; their lines are kept for tracebacks.
        data_files: files to keep in memory, relative to `root`.
        include: modules named in `[tool.pwasm] include`; a missing one is an error.
        absent: who imports modules that Python does not have here (see `absent.Finder`); None if nobody does.
    """
    global _root
    _root = root
    _kept.update(include)
    if absent is not None:
        from . import absent as finder

        finder.install(root, frozenset(sources), absent)
    _phase(lambda: _import_filter(entry, sources, data_files, include))


def late(request: str) -> None:
    """Import what functions import when they run, and the codecs that are named somewhere.

    Args:
        request: a file of lines with fields, separated by tabs: "import", module, names with commas if the statement
            is `from module import names`; or "codec" and its name.
    """
    with open(request, encoding="utf-8") as file:  # noqa: PTH123
        lines = [line.rstrip("\n").split("\t") for line in file]
    wanted = [(fields[1], tuple(filter(None, fields[2].split(",")))) for fields in lines if fields[0] == "import"]
    codecs = [fields[1] for fields in lines if fields[0] == "codec"]
    _kept.update(module for module, _ in wanted)
    _phase(lambda: {"failed": _late(wanted), "unknown": _unknown_codecs(codecs), "modules": _modules()})


def finish() -> None:
    """Register the filter's callbacks, and release what a VM does not need."""
    _phase(_finish)


_root = ""
_watch = Watch()
_kept: set[str] = set()
"""Modules that were asked for by name, which must not be removed again."""


def _phase(work: Callable[[], dict[str, Any]]) -> None:
    """Do `work`, and give the compiler what it returns."""
    record: dict[str, Any] = {}
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Prints()
    try:
        record = work()
    except BaseException as error:
        record = {"failure": _describe(error, _root)}
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    if "callbacks" in record:
        _forget_names()
        _tidy(frozenset(_kept))
        names = _modules()
        record |= {"sdk": __version__, "python": sys.version.split()[0], "modules": names}
        gc.collect()
        gc.freeze()  # collections at run time need not traverse objects that are never freed
    vm.set_build_record(repr(record).encode("utf-8", "backslashreplace"))


def _forget_names() -> None:
    """Remove the modules that check names: a VM has no use for them."""
    from .. import _names

    package, _, room = _names.__name__.rpartition(".")
    for name in list(sys.modules):
        if isinstance(name, str) and f"{name}.".startswith(f"{_names.__name__}."):
            del sys.modules[name]
    delattr(sys.modules[package], room)


def _tidy(wanted: frozenset[str]) -> None:
    """Release whatever only the build needs, since every VM is a copy of this memory."""
    sys.path_importer_cache.clear()  # lists of files that no longer exist
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if module_name(hook) != "zipimport"]
    for name in [name for name in sys.modules if isinstance(name, str) and name.startswith("pwasm_late_")]:
        del sys.modules[name]
    for name in {"site", "zipimport"} - wanted:
        module = sys.modules.pop(name, None)
        if any(module is value for other in list(sys.modules.values()) for value in namespace_of(other).values()):
            sys.modules[name] = module  # type: ignore[assignment]  # the filter, or one of its dependencies, has imported it
    _shorten_stdin()
    _drop_docs()


def _drop_docs() -> None:
    """Drop the docstrings that no compiler can omit: those of modules and types in C, and those the SDK generates."""
    for module in list(sys.modules.values()):
        names = namespace_of(module)
        if names.get("__file__") is None and "__doc__" in names:
            names["__doc__"] = None
        for value in names.values():
            if type(value) is FunctionType and module_name(value).startswith("pwasm."):
                value.__doc__ = None
    flags_of, names_of = (
        type.__dict__["__flags__"].__get__,
        type.__dict__["__dict__"].__get__,
    )  # whatever metaclasses say
    pending: list[type] = [object]
    while pending:
        found = pending.pop()
        pending += type.__subclasses__(found)
        flags = flags_of(found)
        if not flags & _HEAP_TYPE or flags & _IMMUTABLE:
            (names,) = gc.get_referents(names_of(found))  # the dict behind the proxy
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


def _import_filter(entry: str, sources: list[str], data_files: list[str], include: list[str]) -> dict[str, Any]:
    sys.dont_write_bytecode = True
    from .._names import functions  # removed again before the snapshot

    functions.root = f"{_root.rstrip('/')}/"
    functions.sources = frozenset(sources)
    randomness.watch()
    bundle.install(_root, frozenset(sources))
    bundle.keep_data_files(data_files)
    vm.guard_python()
    _watch.start()
    bundle.watch = _watch.add
    __import__(entry)
    log.install_logging_handler()
    for name in include:
        try:
            __import__(name)
        except ImportError as error:
            return {"failure": ("include", {"module": name, "message": str(error)})}
    return {"failed": [], "unknown": [], "modules": _modules()}


def _modules() -> list[str]:
    """The names of all imported modules; a program may put anything into `sys.modules`."""
    return sorted(str.__str__(name) for name in sys.modules if isinstance(name, str))


def _late(wanted: list[tuple[str, tuple[str, ...]]]) -> list[tuple[int, str, str]]:
    """Import modules; returns, for those that cannot be imported, their number, the type of the exception, and why."""
    failed = []
    for number, (name, names) in enumerate(wanted):
        try:
            module = __import__(name, fromlist=names) if names else __import__(name)
            for missing in [one for one in names if one != "*" and not hasattr(module, one)]:
                raise ImportError(f"cannot import name {missing!r} from {name!r}")  # what the statement would raise
        except BaseException as error:
            failed.append((number, type(error).__name__, str(error)))
    return failed


def _unknown_codecs(names: list[str]) -> list[int]:
    unknown = []
    for number, name in enumerate(names):
        try:
            "".encode(name)
        except LookupError:
            unknown.append(number)
    return unknown


def _finish() -> dict[str, Any]:
    from .._names import spelling  # removed again before the snapshot

    bundle.watch = None
    noted = _watch.stop()
    finder = sys.modules.get(f"{__package__}.absent")
    if finder is not None:
        finder.remove()
    try:
        registration = entrypoint.registration()
        spelling.check_all()
    except Exception as error:
        return {"failure": ("registration", {"message": str(error)})}
    callbacks = vm.install(registration)
    randomness.stop_watching()
    unresolved.install(vm.host)
    return {
        "warnings": [*noted, *edits_undeclared(registration)],
        "callbacks": callbacks,
        "written": callbacks_written(registration),
        "hold_headers": headers_held(registration),
    }


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
    missing = error.name if isinstance(error, ImportError) else None
    return "import", {
        "exception": str.__str__(type(error).__name__),
        "module": str.__str__(missing) if isinstance(missing, str) else "",
        "traceback": "".join(lines).replace(root + "/", ""),
    }
