"""Binds a filter's configuration to its dataclass: found when classes are registered, filled in on_configure.

This file is part of every module; `config`, with `json` and `dataclasses`, only of modules whose classes annotate
`config`.
"""

from __future__ import annotations

from .._abi import LogLevel
from .._stream.log import log_lines
from .._stream.records import Root
from .._stream.registration import Registration
from .._stream.report import report
from .._typing import TYPE_CHECKING, Any
from ..types import HttpContext, PluginContext, TcpContext

if TYPE_CHECKING:
    from .rules import Part
    from .types import Type

BASES = (PluginContext, HttpContext, TcpContext)
"""The SDK's own classes, whose annotation of `config` is for type checkers only."""
_known: dict[type, Type | None] = {}


def declares(cls: type) -> bool:
    """Whether a class of the filter annotates `config`."""
    for klass in cls.__mro__:
        if klass in BASES or klass is object:
            continue
        try:
            names: Any = vars(klass).get("__annotations__") or klass.__annotations__
        except NameError:
            return True  # Python 3.14 evaluates all annotations together; `config` can evaluate a single one
        if "config" in names:
            return True
    return False


def type_for(cls: type) -> Type | None:
    """The type of this class's `config`; None if it does not annotate one.

    Raises:
        TypeError: the type cannot be read from a configuration.
    """
    if cls not in _known:
        _known[cls] = None
        if declares(cls):
            from .. import config

            annotation = config.annotation_of(cls, BASES)
            if annotation is not None:
                _known[cls] = config.compiled(annotation, f"{cls.__qualname__}.config")
    return _known[cls]


def declared(registration: Registration) -> dict[str, Type]:
    """The configuration types that registered classes declare, by root_id ("" for those registered without)."""
    found: dict[str, Type] = {}
    for root_id, entries in (("", registration), *registration.named):
        for entry in (entries.plugin, entries.http, entries.tcp):
            wanted = type_for(entry.factory) if entry is not None and isinstance(entry.factory, type) else None
            if wanted is not None:
                found.setdefault(root_id, wanted)
    return found


def refuse(error: Exception) -> None:
    """Log why a configuration is refused."""
    log_lines(LogLevel.CRITICAL, f"the plugin's configuration is refused\n{error}")


def fill(root: Root, part: Part | None = None) -> bool:
    """Set the plugin's `config`; returns False, and logs the reason, if the configuration is invalid.

    `part` is the plugin's configuration if Higress passes several.
    """
    context = root.context
    factories = [root.http.factory if root.http else None, root.tcp.factory if root.tcp else None]
    for cls in (type(context), *factories):
        wanted = type_for(cls) if isinstance(cls, type) else None
        if wanted is None or context is None:
            continue
        from .. import config  # available in the module, since `type_for` has imported it

        try:
            given = config.decode(wanted, context.configuration) if part is None else config.decode_part(wanted, part)
            context.config = given
        except config.ConfigError as error:
            refuse(error)
            return False
        except Exception as error:
            report(LogLevel.CRITICAL, "the plugin's configuration could not be read", error)
            return False
        return True
    return True
