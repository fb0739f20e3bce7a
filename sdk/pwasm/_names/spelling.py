"""Mistakes in the names of a filter's class, found when it is registered.

A callback whose name is misspelt is never called, and a setting whose name is misspelt sets nothing: a filter that
lets everything through looks like one that has nothing to do. So a class is refused that has, of its own,

- a callback that cannot take what Envoy passes;
- the name of a callback or setting of another kind of context (`on_tick` in an HttpContext);
- a name that is nearly one of the SDK's: a letter or two are wrong, or it is spelt as in another SDK or in the ABI
  (`on_http_request_heders`, `onHttpRequestHeaders`, `buffer_requst_body`), an annotation included (`confg: Config`);
- a method `on_…` or `new_…` all of whose words are words of callbacks (`on_response_headers`, `on_request`, `on_log`);

unless, and this is what leaves ordinary helpers free, code of the filter mentions the name. A misspelt callback is
mentioned by nobody; a helper is called by somebody or passed as `callback=self.on_data`. What is called from elsewhere
says so: `own_names = ("on_data",)` in its class. Names that begin with an underscore are nobody's business.

This file runs when a filter is built, and in tests; a module has it not (see `freeze`).
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from .._typing import Any
from ..errors import RegistrationError
from ..types import HttpContext, PluginContext, TcpContext, VMContext

BASES = (HttpContext, TcpContext, PluginContext, VMContext)
SETTINGS = (
    "on_error",
    "buffer_request_body",
    "buffer_response_body",
    "edits_request_body",
    "edits_response_body",
    "max_body_bytes",
    "snapshot_request_headers",
    "own_names",
)
READ_FROM_THE_CLASS = SETTINGS[1:-1]
"""Settings that an instance cannot have of its own."""
FIELDS = ("config", "plugin", "vm")
"""What the SDK gives a context that annotates it, or has for it."""
# Words of other SDKs and of the ABI, and what they mean here.
SYNONYMS = {
    "closed": "close",
    "complete": "done",
    "configure": "start",
    "connect": "connection",
    "create": "new",
    "delete": "done",
    "hdr": "header",
    "log": "done",
    "req": "request",
    "res": "response",
    "resp": "response",
    "rq": "request",
    "rsp": "response",
    "shutdown": "done",
    "started": "start",
    "timer": "tick",
}
# What people call settings elsewhere, and what they mean here.
OTHER_SETTINGS = {
    "buffer_body": "buffer_request_body",
    "buffer_request": "buffer_request_body",
    "buffer_response": "buffer_response_body",
    **dict.fromkeys(("max_body", "max_body_size", "max_bytes"), "max_body_bytes"),
    **dict.fromkeys(("on_err", "on_fail", "on_failure"), "on_error"),
    "snapshot_headers": "snapshot_request_headers",
}
PREFIXES = ("proxy", "envoy")
TYPES = {"end_of_stream": "bool", "peer_type": "PeerType"}
"""Of parameters that are not int: a module has no annotations of the SDK's functions."""

_OPTIMIZED, _VARARGS = 0x01, 0x04  # CodeType.co_flags: the body of a function; it takes *args
_WRONG_LETTERS_IN, _MOST_WRONG_LETTERS = 5, 3
_BY_NAME = {"getattr", "__getattribute__", "methodcaller", "attrgetter"}
_ROWS = (list, tuple, set, frozenset)
_LONG_WORD = 6
"""From this length on a word with one wrong letter is still that word."""

root = ""
"""What file names begin with that nobody wants to see: the staged folder, while a module is built."""
sources: frozenset[str] | None = None
"""The filter's own files below it; None in tests, where what is installed lies in folders of its own."""
_OURS = ("pwasm", "pwasm_compiler", "pwasm_shim")
_TESTS = ("test_", "conftest")
_INSTALLED = ("/site-packages/", "/dist-packages/")
_checked: set[type] = set()
_seen: dict[int, dict[str, Any]] = {}
"""Namespaces of modules of the filter whose classes were checked last."""


def check(cls: type, registering: CodeType | None = None) -> None:
    """Refuse a class of contexts that has such a mistake.

    Args:
        cls: the class.
        registering: the code that registers it, which may mention names too.

    Raises:
        RegistrationError: all mistakes, each with file and line.
    """
    if cls in _checked:
        return
    wrong = _Class(cls, registering).mistakes()
    if wrong:
        strangers = tuple(name for _, name in wrong if name)
        hint = f"if a name is meant as it is, its class says so: own_names = {strangers!r}" if strangers else ""
        raise RegistrationError("\n".join(text for text, _ in wrong), hint)
    _checked.add(cls)


def check_all() -> None:
    """The same for every class that the filter has, registered or not: factories may make it.

    Raises:
        RegistrationError: as `check`.
    """
    pending: list[type] = [*BASES]
    while pending:
        cls = pending.pop()
        pending += type.__subclasses__(cls)
        if not _is_sdk(cls):
            check(cls)


def _is_sdk(cls: type) -> bool:
    return cls is object or cls.__module__.startswith("pwasm.")


def _file(cls: type) -> str:
    """Of its module, which may be out of sight."""
    functions = (function for value in vars(cls).values() for function in _functions(value))
    beside = next((one.__globals__ for one in functions if one.__globals__.get("__name__") == cls.__module__), {})
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or beside.get("__file__")
    return str(file or "").replace("\\", "/")


def _is_installed(cls: type) -> bool:
    """Whether a class comes from a dependency: its author knows of no pwasm."""
    file = _file(cls)
    if sources is not None:
        return bool(file) and file.removeprefix(root) not in sources
    return any(folder in file for folder in _INSTALLED)


def _callbacks(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if not name.startswith("_") and isinstance(value, FunctionType)}


class _Class:
    """A class while it is looked at."""

    def __init__(self, cls: type, registering: CodeType | None) -> None:
        self.own = [klass for klass in cls.__mro__ if not _is_sdk(klass) and not _is_installed(klass)]
        self.sdk = [klass for klass in cls.__mro__ if _is_sdk(klass) and klass is not object]
        self.base = next((base.__name__ for base in BASES if issubclass(cls, base)), "")
        self.registering = registering
        _remember(self.own)
        # Those in Go's spelling are in `pwasm.go`'s classes.
        self.callbacks = {name: klass for klass in reversed(self.sdk) for name in _callbacks(klass)}
        self.settings = [name for name in SETTINGS if hasattr(self.sdk[0], name)]
        self.excused = {name for klass in self.own for name in _own_names(klass)}

    def mistakes(self) -> list[tuple[str, str]]:
        """What is wrong, one for each place, and the name if it is none of the SDK's."""
        found: dict[str, tuple[str, str]] = {}
        for klass in self.own:
            for name in self._set_too_late(klass):
                place = _place(klass, "__init__", vars(klass)["__init__"])
                what = f"{_short(klass)}.__init__ sets {name}, which is read from the class; set it there"
                found.setdefault(f"{place} {name}", (f"{place}: {what}", name))
            for name in _only_annotated(klass):
                what = self._field(name)
                if what:
                    place = _place(klass, name, None)
                    found.setdefault(place, (f"{place}: {_short(klass)}.{name}{what}", name))
            for name, value in vars(klass).items():
                if name.startswith("_"):
                    continue
                known = name in self.callbacks
                what = self._shape(name, value) if known else self._stranger(klass, name, value)
                if what:
                    place = _place(klass, name, value)
                    found.setdefault(place, (f"{place}: {_short(klass)}.{name}{what}", "" if known else name))
        return list(found.values())

    # --- callbacks ------------------------------------------------------------------------------------------------

    def _shape(self, name: str, value: Any) -> str:
        """Whether Envoy's arguments fit."""
        if not callable(value) and not hasattr(type(value), "__get__"):
            return f" must be a method, not {value!r}"
        function = _function(value)
        if function is None:
            return ""
        code, bound = function.__code__, not isinstance(value, staticmethod)
        wanted = vars(self.callbacks[name])[name].__code__
        passed = wanted.co_argcount - 1 + bound
        positional = code.co_argcount
        required = positional - len(function.__defaults__ or ())
        names = code.co_varnames[positional : positional + code.co_kwonlyargcount]
        missing = [one for one in names if one not in (function.__kwdefaults__ or {})]
        if required <= passed and (positional >= passed or code.co_flags & _VARARGS) and not missing:
            return ""
        shown = [*code.co_varnames[:positional], *(["*"] if names else []), *names]
        parameters = [f"{one}: {TYPES.get(one, 'int')}" for one in wanted.co_varnames[1 : wanted.co_argcount]]
        right = ", ".join(["self", *parameters])
        return f" cannot be called as ({', '.join(shown)}); it must be {name}({right})"

    # --- other names ----------------------------------------------------------------------------------------------

    def _set_too_late(self, klass: type) -> list[str]:
        """Settings that `__init__` mentions: an instance that has one of its own is not asked."""
        function = _function(vars(klass).get("__init__"))
        names = () if function is None else function.__code__.co_names
        return [name for name in names if name in READ_FROM_THE_CLASS and name not in self.excused]

    def _stranger(self, klass: type, name: str, value: Any) -> str:
        """Whether a name looks like one of the SDK's."""
        others = [base for base in BASES if name in _callbacks(base) or (name in SETTINGS and name in vars(base))]
        mixed_in = others and not issubclass(klass, BASES)  # perhaps for another kind of context, too
        known = name in self.settings or any(name in vars(one) for one in self.sdk)
        if known or mixed_in or name in self.excused:
            return ""
        function = _function(value)
        another = "" if function is not None else OTHER_SETTINGS.get(name, "")
        sounds = function is not None and _sounds_like_a_callback(name)
        if not any((others, another, sounds, _is_near(name))):
            return ""
        if self._mentions(name, function) or self._holds(name, value):
            return ""
        if others:
            kind, nothing = ("setting", "it sets nothing") if name in SETTINGS else ("callback", "nothing calls it")
            owners = " and ".join(base.__name__ for base in others)
            return f" is a {kind} of {owners}, not of {self.base}: {nothing} here"
        meant = another or _meant(name, [*self.callbacks, *self.settings])
        kind = "setting" if meant in SETTINGS else "callback"
        if not meant:
            meant = next((f"{base.__name__}.{one}" for base in BASES if (one := _meant(name, _callbacks(base)))), "")
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(sorted(self.callbacks))}"
        return f" is not a {kind} of {self.base}; {hint}"

    def _field(self, name: str) -> str:
        """Whether a name that is annotated without a value looks like one that the SDK fills."""
        fields = [field for field in FIELDS if field != name]
        meant = next((field for field in fields if _distance(name, field) == 1), "")
        if not meant or name in (*FIELDS, *self.excused) or self._mentions(name, None):
            return ""
        return f" is not filled by anybody; did you mean {meant}?"

    def _mentions(self, name: str, function: FunctionType | None) -> bool:
        own = None if function is None else function.__code__
        methods = [one for klass in self.own for value in vars(klass).values() for one in _functions(value)]
        codes = [one.__code__ for one in (*methods, *_functions_beside(methods))]
        codes += [] if self.registering is None else [self.registering]
        return any(_mentions(code, name, own) or _makes_up(code, name) for code in codes)

    def _holds(self, name: str, value: Any) -> bool:
        """Whether something else than this name holds the function: a table, a default, a callback made of it."""
        functions = list(_functions(value))
        parts = set(map(id, functions))
        if any(vars(function).keys() - {"__wrapped__"} for function in functions):
            return True  # a decorator has marked it for somebody
        others = [one for klass in self.own for key, one in vars(klass).items() if key != name]
        if any(id(one) in parts for other in others for one in (other, *_functions(other), *_contents(other))):
            return True
        defaults = [one for other in others for function in _functions(other) for one in function.__defaults__ or ()]
        names = [one for names in _namespaces(functions) for one in list(names.values())]
        return any(id(one) in parts for one in (*defaults, *(inner for held in names for inner in _contents(held))))


def _only_annotated(klass: type) -> list[str]:
    try:
        names: Any = vars(klass).get("__annotations__") or klass.__annotations__
    except NameError:  # Python 3.14 evaluates them all, and one names what only a type checker sees
        return []
    return [name for name in names if name not in vars(klass) and not name.startswith("_")]


def _own_names(klass: type) -> tuple[str, ...]:
    names: Any = vars(klass).get("own_names", ())
    if isinstance(names, str):
        raise TypeError(f"{_short(klass)}.own_names must be a tuple of names: ({names!r},)")
    return tuple(names)


def _short(klass: type) -> str:
    return klass.__qualname__.rpartition("<locals>.")[2]


# --- functions and code -----------------------------------------------------------------------------------------------


def _function(value: Any) -> FunctionType | None:
    """The Python function that is called for an attribute of a class; None when nobody knows (`functools.partial`)."""
    inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
    return inner if isinstance(inner, FunctionType) else None


def _functions(value: Any) -> Iterator[FunctionType]:
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


def _remember(classes: list[type]) -> None:
    """Keep what the modules below the folder of these classes define.

    In tests a filter's modules are put out of sight once it is imported, and some of its classes are seen later. A
    class that a test makes has only its own module: around it lies everything that is tested.
    """
    filters = [klass for klass in classes if not klass.__module__.rpartition(".")[2].startswith(_TESTS)]
    folders = tuple({f"{_folder(klass)}/" for klass in filters if _file(klass)})
    for module in list(sys.modules.values()):
        if issubclass(type(module), ModuleType):
            _seen.setdefault(id(module.__dict__), module.__dict__)
    for key, names in list(_seen.items()):
        file = str(names.get("__file__") or "").replace("\\", "/")
        path = str(names.get("__name__")).split(".")
        foreign = path[0] in _OURS or any(folder in file for folder in _INSTALLED)
        if foreign or path[-1].startswith(_TESTS) or not (folders and file.startswith(folders)):
            del _seen[key]


def _namespaces(functions: list[FunctionType]) -> list[dict[str, Any]]:
    """Those that are remembered, and where these functions are from."""
    return list({**_seen, **{id(function.__globals__): function.__globals__ for function in functions}}.values())


def _folder(klass: type) -> str:
    """The folder from which the top package of a class is imported."""
    return _file(klass).rsplit("/", 1 + klass.__module__.count("."))[0]


def _functions_beside(functions: list[FunctionType]) -> Iterator[FunctionType]:
    """All others of the filter's modules."""
    for names in _namespaces(functions):
        for value in list(names.values()):
            kind = type(value)  # not isinstance(): a proxy may say anything of its class, or raise
            if issubclass(kind, type) and value.__module__ == names.get("__name__"):
                for inner in list(vars(value).values()):
                    yield from _functions(inner)
            elif kind is FunctionType and value.__globals__ is names:
                yield value


def _contents(value: Any) -> Iterator[Any]:
    """What a table holds, and the tables in it."""
    kind = type(value)
    for one in list(value.values()) if issubclass(kind, dict) else list(value) if issubclass(kind, _ROWS) else ():
        yield one
        if issubclass(type(one), _ROWS):
            yield from list(one)


def _mentions(code: CodeType, name: str, own: CodeType | None) -> bool:
    """Whether a function in `code` uses an attribute of this name.

    The body of a class mentions what it defines, and the method itself may call its namesake in the base class.
    """
    if code is own:
        return False
    if code.co_flags & _OPTIMIZED and name in code.co_names:
        return True
    return any(_mentions(inner, name, own) for inner in code.co_consts if isinstance(inner, CodeType))


def _texts(constants: tuple[object, ...]) -> set[str]:
    """The constants that are text, in tuples too."""
    found = {one for one in constants if isinstance(one, str)}
    return found.union(*(_texts(one) for one in constants if isinstance(one, tuple)))


def _makes_up(code: CodeType, name: str) -> bool:
    """Whether a function looks for attributes whose names begin like this one: `getattr(self, f"on_{kind}")`."""
    texts = (one for one in _texts(code.co_consts) if len(one) > 2)
    return not _BY_NAME.isdisjoint(code.co_names) and any(map(name.startswith, texts))


def _place(klass: type, name: str, value: Any) -> str:
    """File and line of an attribute of a class."""
    function = _function(value)
    while isinstance(inner := getattr(function, "__wrapped__", None), FunctionType):
        function = inner
    if function is not None:
        return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    codes = [function.__code__ for inner in vars(klass).values() for function in _functions(inner)]
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


# --- words ------------------------------------------------------------------------------------------------------------


def _words(name: str) -> list[str]:
    """`proxy_on_request_headers`, `onRequestHeaders` and `OnRequestHeaders` are on, request, headers."""
    snake = "".join(
        f"_{letter}" if letter.isupper() and not name[at - 1 : at].isupper() else letter
        for at, letter in enumerate(name)
    )
    words = [word for word in snake.lower().split("_") if word] or [name]
    return words[1:] if words[0] in PREFIXES and len(words) > 1 else words


def _meaning(word: str) -> str:
    """A word without what other spellings of the same differ in."""
    stem = word.removesuffix("s")
    return SYNONYMS.get(stem, SYNONYMS.get(word, stem)).removesuffix("s")


def _distance(one: str, other: str) -> int:
    """How many letters must be added, taken away, exchanged or changed (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


_NAMES = sorted({name for base in BASES for name in _callbacks(base)} | set(SETTINGS))
_LETTERS = {"".join(_words(name)): name for name in _NAMES}
_VOCABULARY = {_meaning(word) for name in _NAMES if name not in SETTINGS for word in _words(name)}


def _is_near(name: str) -> bool:
    """Whether a name is one of the SDK's but for some letters, capitals and underscores."""
    letters = "".join(_words(name))
    return any(
        abs(len(letters) - len(known)) <= _MOST_WRONG_LETTERS
        and _distance(letters, known) <= min(len(known) // _WRONG_LETTERS_IN, _MOST_WRONG_LETTERS)
        for known in _LETTERS
    )


def _sounds_like_a_callback(name: str) -> bool:
    """Whether a name begins as callbacks do, and has no word but theirs."""
    first, *rest = _words(name)
    return first in {"on", "new"} and bool(rest) and all(map(_is_known, rest))


def _is_known(word: str) -> bool:
    meant = _meaning(word)
    return meant in _VOCABULARY or (
        len(word) >= _LONG_WORD
        and any(len(known) >= _LONG_WORD and _distance(meant, known) <= 1 for known in _VOCABULARY)
    )


def _meant(name: str, among: Any) -> str:
    """The most similar of these names: by its words, then by its letters; "" when they have nothing in common."""
    words = {_meaning(word) for word in _words(name)} - {"on", "new"}

    def unlike(known: str) -> tuple[int, int, int]:
        common = words & {_meaning(word) for word in _words(known)}
        return -len(common), _distance("".join(_words(name)), "".join(_words(known))), _distance(name, known)

    best = min(among, key=unlike)
    return best if unlike(best)[0] or _distance("".join(_words(name)), "".join(_words(best))) <= 2 else ""
