"""The parts of a class: its functions, the modules that contain them, and the names that their code uses."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType

from .._reflect import module_name, namespace_of
from .._typing import Any

_OPTIMIZED = 0x01  # CodeType.co_flags: the body of a function
_BY_NAME = {"getattr", "__getattribute__", "methodcaller", "attrgetter"}
_ROWS = (list, tuple, set, frozenset)

root = ""
"""Prefix that is removed from file names in messages: the staged folder, while a module is built."""
sources: frozenset[str] | None = None
"""The filter's own files below `root`; None in tests, where installed packages are in separate folders."""
_OURS = ("pwasm", "pwasm_compiler", "pwasm_shim")
_TESTS = ("test_", "conftest")
_INSTALLED = ("/site-packages/", "/dist-packages/")
_seen: dict[int, dict[str, Any]] = {}
"""Namespaces of the modules of the filter whose classes were checked last."""


def is_sdk(cls: type) -> bool:
    return cls is object or module_name(cls).startswith("pwasm.")


def file_of(cls: type) -> str:
    """The file of a class's module, which may no longer be in `sys.modules`."""
    functions = (function for value in vars(cls).values() for function in functions_in(value))
    module = module_name(cls)
    beside = next((one.__globals__ for one in functions if one.__globals__.get("__name__") == module), {})
    file = namespace_of(sys.modules.get(module)).get("__file__") or beside.get("__file__")
    return str(file or "").replace("\\", "/")


def is_installed(cls: type) -> bool:
    """Whether a class comes from a dependency, whose author does not know pwasm."""
    file = file_of(cls)
    if sources is not None:
        return bool(file) and file.removeprefix(root) not in sources
    return any(folder in file for folder in _INSTALLED)


def function_of(value: Any) -> FunctionType | None:
    """The Python function behind an attribute of a class; None if it cannot be determined (`functools.partial`)."""
    inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return inner if isinstance(inner, FunctionType) else None


def functions_in(value: Any) -> Iterator[FunctionType]:
    """The functions that make up an attribute of a class, looking through properties and decorators."""
    pending, seen = [value], set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (staticmethod, classmethod)):
            pending.append(one.__func__)
        elif isinstance(one, property):
            pending += [one.fget, one.fset, one.fdel]
        elif module_name(type(one)) == "functools":
            pending.append(getattr(one, "func", None))
        elif isinstance(one, FunctionType):
            yield one
            pending.append(getattr(one, "__wrapped__", None))
            for cell in one.__closure__ or ():
                try:
                    pending.append(cell.cell_contents)
                except ValueError:
                    continue  # not filled yet
        # Other objects have no code that can be inspected.


def remember(classes: list[type]) -> None:
    """Keep the namespaces of the modules below the folder of these classes.

    In tests, a filter's modules are removed from `sys.modules` once it is imported, and some of its classes are checked
    later. For a class defined in a test only its own module counts, since the folder contains everything under test.
    """
    filters = [klass for klass in classes if not module_name(klass).rpartition(".")[2].startswith(_TESTS)]
    folders = tuple({f"{_folder(klass)}/" for klass in filters if file_of(klass)})
    for module in list(sys.modules.values()):
        found = namespace_of(module)
        if found:
            _seen.setdefault(id(found), found)
    for key, names in list(_seen.items()):
        file = str(names.get("__file__") or "").replace("\\", "/")
        path = str(names.get("__name__")).split(".")
        foreign = path[0] in _OURS or any(folder in file for folder in _INSTALLED)
        if foreign or path[-1].startswith(_TESTS) or not (folders and file.startswith(folders)):
            del _seen[key]


def namespaces(functions: list[FunctionType]) -> list[dict[str, Any]]:
    """The remembered namespaces, and those that define these functions."""
    return list({**_seen, **{id(function.__globals__): function.__globals__ for function in functions}}.values())


def _folder(klass: type) -> str:
    """The folder from which the top package of a class is imported."""
    return file_of(klass).rsplit("/", 1 + module_name(klass).count("."))[0]


def functions_beside(functions: list[FunctionType]) -> Iterator[FunctionType]:
    """All other functions of the filter's modules."""
    for names in namespaces(functions):
        for value in list(names.values()):
            kind = type(value)  # not isinstance(): a proxy object may lie about its class, or raise
            if issubclass(kind, type) and module_name(value) == names.get("__name__"):
                for inner in list(vars(value).values()):
                    yield from functions_in(inner)
            elif kind is FunctionType and value.__globals__ is names:
                yield value


def contents_of(value: Any) -> Iterator[Any]:
    """The items of a container, and those of the containers in it."""
    kind = type(value)
    for one in list(value.values()) if issubclass(kind, dict) else list(value) if issubclass(kind, _ROWS) else ():
        yield one
        if issubclass(type(one), _ROWS):
            yield from list(one)


def code_mentions(code: CodeType, name: str, own: CodeType | None) -> bool:
    """Whether a function in `code` uses an attribute of this name.

    The body of a class mentions the names it defines, and the method itself may call the method it overrides.
    """
    if code is own:
        return False
    if code.co_flags & _OPTIMIZED and name in code.co_names:
        return True
    return any(code_mentions(inner, name, own) for inner in code.co_consts if isinstance(inner, CodeType))


def _texts(constants: tuple[object, ...]) -> set[str]:
    """The str constants, including those in tuples."""
    found = {one for one in constants if isinstance(one, str)}
    return found.union(*(_texts(one) for one in constants if isinstance(one, tuple)))


def code_makes_up(code: CodeType, name: str) -> bool:
    """Whether a function looks up attributes by a prefix of this name: `getattr(self, f"on_{kind}")`."""
    texts = (one for one in _texts(code.co_consts) if len(one) > 2)
    return not _BY_NAME.isdisjoint(code.co_names) and any(map(name.startswith, texts))


def place_of(klass: type, name: str, value: Any) -> str:
    """File and line of an attribute of a class."""
    function = function_of(value)
    while isinstance(inner := getattr(function, "__wrapped__", None), FunctionType):
        function = inner
    if function is not None:
        return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    codes = [function.__code__ for inner in vars(klass).values() for function in functions_in(inner)]
    file = codes[0].co_filename if codes else (file_of(klass) or "?").removeprefix(root)
    line = _line(linecache.getlines(file), klass, name)
    return f"{file}:{line}" if line else file


def _line(lines: list[str], klass: type, name: str) -> int:
    """The line of an assignment in a class; if there is none, the line of the class, or 0."""
    first = 0
    for number, line in enumerate(lines, 1):
        words = line.replace("(", " ").replace(":", " ").replace("=", " ").split()
        if words[:2] == ["class", klass.__name__]:
            first = number
        elif first and words[:1] == [name]:
            return number
    return first


def short_name(klass: type) -> str:
    return klass.__qualname__.rpartition("<locals>.")[2]
