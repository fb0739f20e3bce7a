"""A class's declarations about bodies and headers, as its `Traits`; see `body_options`."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

from .._stream.registration import MESSAGES, Traits
from .._typing import Any, Final, NamedTuple
from .._validate import CONTENT_LENGTH
from ..types import HttpContext

UPGRADES = ("refuse", "pass", "stream")

_CO_COROUTINE = 0x80

_known: dict[type, Traits | None] = {}


def traits_of(cls: type) -> Traits | None:
    """The declarations of `cls`; None if there are none.

    Raises:
        TypeError, ValueError: a declaration has the wrong type or value.
    """
    if cls not in _known:
        _known[cls] = _read(cls) if issubclass(cls, HttpContext) else None
    return _known[cls]


def _read(cls: type) -> Traits | None:
    buffers = (_flag(cls, "buffer_request_body"), _flag(cls, "buffer_response_body"))
    edits = (_flag(cls, "edits_request_body"), _flag(cls, "edits_response_body"))
    snapshot = _flag(cls, "snapshot_request_headers")
    limit = cls.max_body_bytes  # type: ignore[attr-defined]
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"{cls.__qualname__}.max_body_bytes must be int, not {type(limit).__name__}")
    if limit < 1:
        raise ValueError(f"{cls.__qualname__}.max_body_bytes must be positive, not {limit}")
    # A filter that buffers a body usually changes it, so that is the default.
    declared = [bool(buffers[side] if edits[side] is None else edits[side]) for side in MESSAGES]
    watches = [
        not declared[side] and any(_edits_in(code, name) for _, code in _methods(cls))
        for side, name in MESSAGES.items()
    ]
    holds = (bool(_flag(cls, "holds_request_headers")), bool(_flag(cls, "holds_response_headers")))
    traits = Traits(
        snapshot=_mentions_request(cls) or bool(_flag(cls, "passes_trace_context")) if snapshot is None else snapshot,
        buffers=(bool(buffers[0]), bool(buffers[1])),
        edits=(declared[0], declared[1]),
        max_body_bytes=limit,
        holds=holds,
        upgrade=_upgrade(cls, buffers=any(buffers)),
        early=not any("trailer" in name for _, code in _methods(cls) for name in _names(code)),
        watches=(watches[0], watches[1]),
    )
    needed = (traits.snapshot, *traits.buffers, *traits.edits, *traits.holds, *traits.watches)
    return traits if any(needed) or traits.upgrade != "stream" else None


def _upgrade(cls: type, *, buffers: bool) -> str:
    choice = getattr(cls, "upgrades")  # noqa: B009, not an attribute of every type
    if choice is None:
        return "refuse" if buffers else "stream"
    if choice not in UPGRADES:
        raise ValueError(f"{cls.__qualname__}.upgrades must be one of {', '.join(UPGRADES)}, not {choice!r}")
    return str(choice)


def _flag(cls: type, name: str) -> bool | None:
    value = getattr(cls, name)
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{cls.__qualname__}.{name} must be True or False, not {value!r}")
    return value


class Edit(NamedTuple):
    """A method that changes a body of which its class has declared nothing."""

    method: str
    changes: str
    """`replace_http_request_body`, say, or "request.body"."""
    declares: str
    """The attribute that is missing: `edits_request_body`."""
    file: str
    line: int
    """Where the method begins."""

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.method} changes {self.changes}, but its class does not declare"
            f" {self.declares} = True: a change of the size will be refused"
        )


def undeclared_edits(cls: type) -> list[Edit]:
    """The methods of `cls` that change a body although the class does not declare it.

    A class that mentions `content-length` takes care of it, and one that declares False changes no sizes.
    """
    traits = traits_of(cls)
    if traits is None or any(CONTENT_LENGTH in _strings(code) for _, code in _methods(cls)):
        return []
    return [
        Edit(method, changes, f"edits_{message}_body", code.co_filename, code.co_firstlineno)
        for side, message in MESSAGES.items()
        if traits.watches[side] and getattr(cls, f"edits_{message}_body") is None
        for method, code in _methods(cls)
        for changes in _edits_in(code, message)
    ]


def may_pause(cls: type, callback: str) -> bool:
    """Whether a callback of headers may hold them: it is `async def`, or its class mentions PAUSE."""
    function = getattr(cls, callback)
    if function is getattr(HttpContext, callback):
        return False
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or code.co_flags & _CO_COROUTINE:
        return True
    return any("PAUSE" in _names(own) for _, own in _methods(cls))


def _methods(cls: type) -> Iterator[tuple[str, CodeType]]:
    """The names and codes of the methods of a class, without those of `HttpContext`."""
    for klass in cls.__mro__:
        for name, value in () if klass in {HttpContext, object} else vars(klass).items():
            code = getattr(getattr(value, "__func__", value), "__code__", None)
            if isinstance(code, CodeType):
                yield f"{klass.__qualname__}.{name}", code


def _edits_in(code: CodeType, message: str) -> list[str]:
    """What in a function changes the body of a message: functions of the SDK, and assignments to `.body`."""
    verbs = ("append", "prepend", "replace")
    found = [name for verb in verbs if _uses(code, name := f"{verb}_http_{message}_body")]
    return [*found, f"{message}.body"] if _uses(code, message) and _assigns_body(code) else found


def _assigns_body(code: CodeType) -> bool:
    here = "body" in code.co_names and (_STORE_ATTR, code.co_names.index("body") & 0xFF) in _instructions(code)
    return here or any(_assigns_body(inner) for inner in _inner(code))


def _instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    """The pairs of operation and argument. The argument of one that has more bits lacks them."""
    return zip(code.co_code[::2], code.co_code[1::2], strict=True)


def _sample(other: Any) -> None:
    other.first.second = other


_STORE_ATTR: Final = next(operation for operation, name in _instructions(_sample.__code__) if name == 1)
"""The operation that assigns to an attribute: in `_sample` the one whose argument is the second name. The module that
has its number is not for a VM."""


def _strings(code: CodeType) -> set[str]:
    own = {const.lower() for const in code.co_consts if isinstance(const, str)}
    return own.union(*map(_strings, _inner(code)))


def _mentions_request(cls: type) -> bool:
    """Whether a method of `cls` that runs after the request headers uses an attribute named `request`.

    The snapshot costs a hostcall per request, so only classes that may use it get one. Uses that this scan cannot see
    (a helper elsewhere that gets the context as an argument) need `snapshot_request_headers = True`.
    """
    if any(_uses(code, "request") for name, code in _methods(cls) if not name.endswith(".on_http_request_headers")):
        return True
    own = getattr(cls.on_http_request_headers, "__code__", None)  # type: ignore[attr-defined]
    # The callback of a callout may be nested inside it, and runs later.
    return own is not None and any(isinstance(inner, CodeType) and _uses(inner, "request") for inner in own.co_consts)


def _uses(code: CodeType, name: str) -> bool:
    return name in _names(code)


def _names(code: CodeType) -> set[str]:
    """The global names and attributes that a function and those inside it use."""
    return set(code.co_names).union(*map(_names, _inner(code)))


def _inner(code: CodeType) -> list[CodeType]:
    return [const for const in code.co_consts if isinstance(const, CodeType)]
