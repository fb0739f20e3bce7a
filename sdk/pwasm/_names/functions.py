"""What a class is made of: its functions, the modules around them, and what their code mentions."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from .._typing import Any

_OPTIMIZED = 0x01  # CodeType.co_flags: the body of a function
_BY_NAME = {"getattr", "__getattribute__", "methodcaller", "attrgetter"}
_ROWS = (list, tuple, set, frozenset)

root = ""
"""What file names begin with that nobody wants to see: the staged folder, while a module is built."""
sources: frozenset[str] | None = None
"""The filter's own files below it; None in tests, where what is installed lies in folders of its own."""
_OURS = ("pwasm", "pwasm_compiler", "pwasm_shim")
_TESTS = ("test_", "conftest")
_INSTALLED = ("/site-packages/", "/dist-packages/")
_seen: dict[int, dict[str, Any]] = {}
"""Namespaces of modules of the filter whose classes were checked last."""


def is_sdk(cls: type) -> bool:
    return cls is object or cls.__module__.startswith("pwasm.")


def file_of(cls: type) -> str:
    """Of its module, which may be out of sight."""
    functions = (function for value in vars(cls).values() for function in functions_in(value))
    beside = next((one.__globals__ for one in functions if one.__globals__.get("__name__") == cls.__module__), {})
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or beside.get("__file__")
    return str(file or "").replace("\\", "/")


def is_installed(cls: type) -> bool:
    """Whether a class comes from a dependency: its author knows of no pwasm."""
    file = file_of(cls)
    if sources is not None:
        return bool(file) and file.removeprefix(root) not in sources
    return any(folder in file for folder in _INSTALLED)


def function_of(value: Any) -> FunctionType | None:
    """The Python function that is called for an attribute of a class; None when nobody knows (`functools.partial`)."""
    inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return inner if isinstance(inner, FunctionType) else None


def functions_in(value: Any) -> Iterator[FunctionType]:
    """The functions that an attribute of a class is made of, through properties and decorators."""
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
        elif type(one).__module__ == "functools":
            pending.append(getattr(one, "func", None))
        elif isinstance(one, FunctionType):
            yield one
            pending.append(getattr(one, "__wrapped__", None))
            for cell in one.__closure__ or ():
                try:
                    pending.append(cell.cell_contents)
                except ValueError:
                    continue  # not filled yet
        # Anything else has no code that could be read.


def remember(classes: list[type]) -> None:
    """Keep what the modules below the folder of these classes define.

    In tests a filter's modules are put out of sight once it is imported, and some of its classes are seen later. A
    class that a test makes has only its own module: around it lies everything that is tested.
    """
    filters = [klass for klass in classes if not klass.__module__.rpartition(".")[2].startswith(_TESTS)]
    folders = tuple({f"{_folder(klass)}/" for klass in filters if file_of(klass)})
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType):
            _seen.setdefault(id(module.__dict__), module.__dict__)
    for key, names in list(_seen.items()):
        file = str(names.get("__file__") or "").replace("\\", "/")
        path = str(names.get("__name__")).split(".")
        foreign = path[0] in _OURS or any(folder in file for folder in _INSTALLED)
        if foreign or path[-1].startswith(_TESTS) or not (folders and file.startswith(folders)):
            del _seen[key]


def namespaces(functions: list[FunctionType]) -> list[dict[str, Any]]:
    """Those that are remembered, and where these functions are from."""
    return list({**_seen, **{id(function.__globals__): function.__globals__ for function in functions}}.values())


def _folder(klass: type) -> str:
    """The folder from which the top package of a class is imported."""
    return file_of(klass).rsplit("/", 1 + klass.__module__.count("."))[0]


def functions_beside(functions: list[FunctionType]) -> Iterator[FunctionType]:
    """All others of the filter's modules."""
    for names in namespaces(functions):
        for value in list(names.values()):
            kind = type(value)  # not isinstance(): a proxy may say anything of its class, or raise
            if issubclass(kind, type) and value.__module__ == names.get("__name__"):
                for inner in list(vars(value).values()):
                    yield from functions_in(inner)
            elif kind is FunctionType and value.__globals__ is names:
                yield value


def contents_of(value: Any) -> Iterator[Any]:
    """What a table holds, and the tables in it."""
    kind = type(value)
    for one in list(value.values()) if issubclass(kind, dict) else list(value) if issubclass(kind, _ROWS) else ():
        yield one
        if issubclass(type(one), _ROWS):
            yield from list(one)


def code_mentions(code: CodeType, name: str, own: CodeType | None) -> bool:
    """Whether a function in `code` uses an attribute of this name.

    The body of a class mentions what it defines, and the method itself may call its namesake in the base class.
    """
    if code is own:
        return False
    if code.co_flags & _OPTIMIZED and name in code.co_names:
        return True
    return any(code_mentions(inner, name, own) for inner in code.co_consts if isinstance(inner, CodeType))


def _texts(constants: tuple[object, ...]) -> set[str]:
    """The constants that are text, in tuples too."""
    found = {one for one in constants if isinstance(one, str)}
    return found.union(*(_texts(one) for one in constants if isinstance(one, tuple)))


def code_makes_up(code: CodeType, name: str) -> bool:
    """Whether a function looks for attributes whose names begin like this one: `getattr(self, f"on_{kind}")`."""
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
    module = sys.modules.get(klass.__module__)
    file = codes[0].co_filename if codes else (getattr(module, "__file__", None) or "?").removeprefix(root)
    line = _line(linecache.getlines(file), klass, name)
    return f"{file}:{line}" if line else file


def _line(lines: list[str], klass: type, name: str) -> int:
    """The line of an assignment in a class; that of the class, or 0, if it was made otherwise."""
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
