"""Finds mistakes in the names of a filter's class when it is registered.

A misspelt callback is never called, and a misspelt setting sets nothing; a filter that lets everything through for that
reason looks like a filter that has nothing to do. So a class is refused if it defines

- a callback that cannot accept the arguments Envoy passes;
- the name of a callback or setting of another kind of context (`on_tick` in an HttpContext);
- a name, annotations included (`confg: Config`), that nearly matches one of the SDK's: with a wrong letter or two, or
  spelt as in another SDK or in the ABI (`on_http_request_heders`, `onHttpRequestHeaders`, `buffer_requst_body`);
- a method `on_…` or `new_…` made up only of words used in callback names (`on_response_headers`, `on_request`);

unless code of the filter mentions the name, which exempts ordinary helpers. Nothing mentions a misspelt callback, but a
helper is called somewhere, or passed as `callback=self.on_data`. A class lists methods that are called from elsewhere
in `own_names = ("on_data",)`. Names that begin with an underscore are not checked.

This file runs when a filter is built, and in tests; modules do not contain it (see `freeze`).
"""

from __future__ import annotations

from types import CodeType, FunctionType

from .._typing import Any
from ..errors import RegistrationError
from .functions import (
    code_makes_up,
    code_mentions,
    contents_of,
    function_of,
    functions_beside,
    functions_in,
    is_installed,
    is_sdk,
    namespaces,
    place_of,
    remember,
    short_name,
)
from .words import (
    BASES,
    FIELDS,
    OTHER_SETTINGS,
    READ_FROM_THE_CLASS,
    SETTINGS,
    TYPES,
    callbacks_of,
    distance,
    is_near,
    meant_by,
    says_all_of,
    sounds_like_a_callback,
)

_VARARGS = 0x04  # CodeType.co_flags: the function takes *args
_checked: set[type] = set()


def check(cls: type, registering: CodeType | None = None) -> None:
    """Refuse a class of contexts with such mistakes.

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
        hint = f"to keep a name as it is, declare it in its class: own_names = {strangers!r}" if strangers else ""
        raise RegistrationError("\n".join(text for text, _ in wrong), hint)
    _checked.add(cls)


def check_all() -> None:
    """Check every class of the filter, registered or not, since a factory may instantiate it.

    Raises:
        RegistrationError: as in `check`.
    """
    pending: list[type] = [*BASES]
    while pending:
        cls = pending.pop()
        pending += type.__subclasses__(cls)
        if not is_sdk(cls):
            check(cls)


class _Class:
    """The check of one class."""

    def __init__(self, cls: type, registering: CodeType | None) -> None:
        self.own = [klass for klass in cls.__mro__ if not is_sdk(klass) and not is_installed(klass)]
        self.sdk = [klass for klass in cls.__mro__ if is_sdk(klass) and klass is not object]
        self.base = next((base.__name__ for base in BASES if issubclass(cls, base)), "")
        self.registering = registering
        remember(self.own)
        # Go's spellings of callbacks are attributes of the classes in `pwasm.go`.
        self.callbacks = {name: klass for klass in reversed(self.sdk) for name in callbacks_of(klass)}
        self.settings = [name for name in SETTINGS if hasattr(self.sdk[0], name)]
        self.excused = {name for klass in self.own for name in _own_names(klass)}

    def mistakes(self) -> list[tuple[str, str]]:
        """The mistakes, one per place: the message, and the name unless it is one of the SDK's."""
        found: dict[str, tuple[str, str]] = {}
        for klass in self.own:
            for name in self._set_too_late(klass):
                place = place_of(klass, "__init__", vars(klass)["__init__"])
                what = (
                    f"{short_name(klass)}.__init__ sets {name}, which is read from the class; set it in the class body"
                )
                found.setdefault(f"{place} {name}", (f"{place}: {what}", name))
            for name in _only_annotated(klass):
                what = self._field(name)
                if what:
                    place = place_of(klass, name, None)
                    found.setdefault(place, (f"{place}: {short_name(klass)}.{name}{what}", name))
            for name, value in vars(klass).items():
                if name.startswith("_"):
                    continue
                known = name in self.callbacks
                what = self._shape(name, value) if known else self._stranger(klass, name, value)
                if what:
                    place = place_of(klass, name, value)
                    found.setdefault(place, (f"{place}: {short_name(klass)}.{name}{what}", "" if known else name))
        return list(found.values())

    # --- callbacks ------------------------------------------------------------------------------------------------

    def _shape(self, name: str, value: Any) -> str:
        """The problem if the callback cannot accept Envoy's arguments, or ""."""
        if not callable(value) and not hasattr(type(value), "__get__"):
            return f" must be a method, not {value!r}"
        function = function_of(value)
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
        """Settings that `__init__` mentions: they are read from the class, so an instance cannot set them."""
        function = function_of(vars(klass).get("__init__"))
        names = () if function is None else function.__code__.co_names
        return [name for name in names if name in READ_FROM_THE_CLASS and name not in self.excused]

    def _stranger(self, klass: type, name: str, value: Any) -> str:
        """The problem if a name looks like one of the SDK's, or ""."""
        others = [base for base in BASES if name in callbacks_of(base) or (name in SETTINGS and name in vars(base))]
        mixed_in = others and not issubclass(klass, BASES)  # perhaps for another kind of context, too
        known = name in self.settings or any(name in vars(one) for one in self.sdk)
        if known or mixed_in or name in self.excused:
            return ""
        function = function_of(value)
        another = "" if function is not None else OTHER_SETTINGS.get(name, "")
        sounds = function is not None and sounds_like_a_callback(name)
        if not any((others, another, sounds, is_near(name))):
            return ""
        if self._mentions(name, function) or self._holds(name, value):
            return ""
        if others:
            kind, nothing = ("setting", "it sets nothing") if name in SETTINGS else ("callback", "nothing calls it")
            owners = " and ".join(base.__name__ for base in others)
            meant = meant_by(name, self.callbacks)
            hint = f"; did you mean {meant}?" if meant and says_all_of(meant, name) else ""
            return f" is a {kind} of {owners}, not of {self.base}: {nothing} here{hint}"
        meant = another or meant_by(name, self.callbacks if sounds else [*self.callbacks, *self.settings])
        kind = "setting" if meant in SETTINGS else "callback"
        if not meant:
            meant = next(
                (f"{base.__name__}.{one}" for base in BASES if (one := meant_by(name, callbacks_of(base)))), ""
            )
        hint = f"did you mean {meant}?" if meant else f"known callbacks: {', '.join(sorted(self.callbacks))}"
        return f" is not a {kind} of {self.base}; {hint}"

    def _field(self, name: str) -> str:
        """The problem if a name annotated without a value looks like one that the SDK sets, or ""."""
        fields = [field for field in FIELDS if field != name]
        meant = next((field for field in fields if distance(name, field) == 1), "")
        if not meant or name in (*FIELDS, *self.excused) or self._mentions(name, None):
            return ""
        return f" is never set; did you mean {meant}?"

    def _mentions(self, name: str, function: FunctionType | None) -> bool:
        own = None if function is None else function.__code__
        methods = [one for klass in self.own for value in vars(klass).values() for one in functions_in(value)]
        codes = [one.__code__ for one in (*methods, *functions_beside(methods))]
        codes += [] if self.registering is None else [self.registering]
        return any(code_mentions(code, name, own) or code_makes_up(code, name) for code in codes)

    def _holds(self, name: str, value: Any) -> bool:
        """Whether something other than this name refers to the function: a table, a default, a derived callback."""
        functions = list(functions_in(value))
        parts = set(map(id, functions))
        if any(vars(function).keys() - {"__wrapped__"} for function in functions):
            return True  # a decorator has marked it for some purpose
        others = [one for klass in self.own for key, one in vars(klass).items() if key != name]
        if any(id(one) in parts for other in others for one in (other, *functions_in(other), *contents_of(other))):
            return True
        defaults = [one for other in others for function in functions_in(other) for one in function.__defaults__ or ()]
        names = [one for names in namespaces(functions) for one in list(names.values())]
        return any(id(one) in parts for one in (*defaults, *(inner for held in names for inner in contents_of(held))))


def _only_annotated(klass: type) -> list[str]:
    try:
        names: Any = vars(klass).get("__annotations__") or klass.__annotations__
    except NameError:  # Python 3.14 evaluates all annotations, and one uses a name for type checkers
        return []
    return [name for name in names if name not in vars(klass) and not name.startswith("_")]


def _own_names(klass: type) -> tuple[str, ...]:
    names: Any = vars(klass).get("own_names", ())
    if isinstance(names, str):
        raise TypeError(f"{short_name(klass)}.own_names must be a tuple of names: ({names!r},)")
    return tuple(names)
