"""A class's declarations about bodies and headers, as its `Traits`; see `body_options`."""

from __future__ import annotations

from types import CodeType

from .._stream.registration import Traits
from ..types import HttpContext

UPGRADES = ("refuse", "pass", "stream")

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
    holds = (bool(_flag(cls, "holds_request_headers")), bool(_flag(cls, "holds_response_headers")))
    traits = Traits(
        snapshot=_mentions_request(cls) if snapshot is None else snapshot,
        buffers=(bool(buffers[0]), bool(buffers[1])),
        # A filter that buffers a body usually changes it, so that is the default.
        edits=(bool(buffers[0] if edits[0] is None else edits[0]), bool(buffers[1] if edits[1] is None else edits[1])),
        max_body_bytes=limit,
        holds=holds,
        upgrade=_upgrade(cls, buffers=any(buffers)),
        early=not _mentions_trailers(cls),
    )
    declared = (traits.snapshot, *traits.buffers, *traits.edits, *traits.holds, traits.upgrade != "stream")
    return traits if any(declared) else None


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


def _mentions_request(cls: type) -> bool:
    """Whether a method of `cls` that runs after the request headers uses an attribute named `request`.

    The snapshot costs a hostcall per request, so only classes that may use it get one. Uses that this scan cannot see
    (a helper elsewhere that gets the context as an argument) need `snapshot_request_headers = True`.
    """
    for klass in cls.__mro__:
        if klass in {HttpContext, object}:
            continue
        for name, function in vars(klass).items():
            code = getattr(getattr(function, "__func__", function), "__code__", None)
            if isinstance(code, CodeType) and name != "on_http_request_headers" and _uses(code, "request"):
                return True
    own = getattr(cls.on_http_request_headers, "__code__", None)  # type: ignore[attr-defined]
    # The callback of a callout may be nested inside it, and runs later.
    return own is not None and any(isinstance(inner, CodeType) and _uses(inner, "request") for inner in own.co_consts)


def _mentions_trailers(cls: type) -> bool:
    """Whether a method of `cls` may create trailers, which Envoy allows only once it has seen the end of the body."""
    own = (klass for klass in cls.__mro__ if klass not in {HttpContext, object})
    functions = (getattr(one, "__func__", one) for klass in own for one in vars(klass).values())
    codes = (getattr(function, "__code__", None) for function in functions)
    return any("trailer" in name for code in codes if isinstance(code, CodeType) for name in _names(code))


def _uses(code: CodeType, name: str) -> bool:
    return name in _names(code)


def _names(code: CodeType) -> set[str]:
    """The global names and attributes that a function and those inside it use."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))
