"""Typed configuration: a dataclass that is filled from Envoy's configuration, or makes Envoy reject it.

    from dataclasses import dataclass, field

    @dataclass
    class Route:
        prefix: str
        cluster: str
        weight: int = 1

    @dataclass
    class Config:
        routes: list[Route]
        debug: bool = False

    class Plugin(pwasm.PluginContext):
        config: Config                      # that is all: it is available from on_plugin_start on

    class Router(pwasm.HttpContext):
        plugin: Plugin

        def on_http_request_headers(self, num_headers, end_of_stream):
            routes = self.plugin.config.routes

A filter without a plugin class annotates `config` in its HttpContext or TcpContext instead, and uses `self.config`
there. `config: str` or `config: bytes` takes the configuration as it is; anything else is decoded from JSON, or from
the Struct that Envoy passes. `help(pwasm._config.types)` lists the supported types.

An invalid configuration is refused: all problems are logged together, each with its path, and Envoy rejects the update
and keeps the previous configuration.

    $.routes[3].weight: expected int, got str
    $.debugg: unknown field; did you mean debug?

A field's `metadata` may contain `key` (its name in JSON) and `description` (for `pwasm schema`). Put checks that types
cannot express into `__post_init__`: a ValueError it raises is reported with the path of the object.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import typing
from typing import Any, TypeVar, cast

from ._config import struct  # noqa: F401  # for `text`, which every module has
from ._config.annotations import type_of
from ._config.objects import Problems, report_duplicates
from ._config.rules import Part, parts_of
from ._config.text import MAX_BYTES, MAX_DEPTH, ConfigError, as_text, parse
from ._config.types import BAD, Range, Type, UnsupportedType
from ._reflect import module_name, namespace_of

__all__ = ["MAX_BYTES", "MAX_DEPTH", "ConfigError", "Range", "UnsupportedType", "dump", "load", "schema"]

_SCHEMA = "https://json-schema.org/draft/2020-12/schema"

_T = TypeVar("_T")


class _Dataclass(Type):
    """An object with the fields of a dataclass."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.wants = "object"
        self.fields: dict[str, tuple[dataclasses.Field[Any], Type]] = {}

    def compile(self, path: str, known: dict[type, _Dataclass]) -> None:
        """Find the types of the fields."""
        try:
            hints = typing.get_type_hints(self.cls, include_extras=True)
        except NameError as error:
            raise UnsupportedType(
                f"{self.cls.__qualname__}: {error}; the types of its fields must be defined before it is registered"
            ) from error
        for field in dataclasses.fields(self.cls):
            if field.init:
                inner = f"{path}.{field.name}"
                kind_of_field = type_of(hints[field.name], inner, lambda cls, at: _dataclass(cls, at, known))
                self.fields[str(field.metadata.get("key", field.name))] = (field, kind_of_field)

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            return self.wrong(value, path, problems)
        before = len(problems)
        report_duplicates(value, path, problems)
        problems += [f"{path}.{name}: {self._unknown(name)}" for name in value if name not in self.fields]
        made: dict[str, Any] = {}
        for key, (field, inner) in self.fields.items():
            if key in value:
                made[field.name] = inner.decode(value[key], f"{path}.{key}", problems)
            elif _is_required(field):
                problems.append(f"{path}.{key}: missing (expected {inner.wants})")
        if len(problems) > before:
            return BAD
        try:
            return self.cls(**made)
        except Exception as error:
            problems.append(f"{path}: {error or type(error).__name__}")
            return BAD

    def _unknown(self, name: str) -> str:
        close = [key for key in self.fields if _similar(key, name)]
        known = f"did you mean {close[0]}?" if close else f"known fields: {', '.join(self.fields) or 'none'}"
        return f"unknown field; {known}"

    def encode(self, value: Any) -> Any:
        return {key: inner.encode(getattr(value, field.name)) for key, (field, inner) in self.fields.items()}

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        name = self.cls.__name__
        if name not in definitions:
            definitions[name] = {}  # the class may refer to itself
            definitions[name] = self.own_schema(definitions)
        return {"$ref": f"#/$defs/{name}"}

    def own_schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """The schema itself, not a reference to it."""
        made: dict[str, Any] = {"type": "object", "title": self.cls.__name__}
        if self.cls.__doc__ and not self.cls.__doc__.startswith(f"{self.cls.__name__}("):  # dataclass()'s default
            made["description"] = " ".join(self.cls.__doc__.split())
        made["properties"] = {key: self._property(*pair, definitions) for key, pair in self.fields.items()}
        required = [key for key, (field, _) in self.fields.items() if _is_required(field)]
        return {**made, **({"required": required} if required else {}), "additionalProperties": False}

    def _property(self, field: dataclasses.Field[Any], inner: Type, definitions: dict[str, Any]) -> dict[str, Any]:
        made = inner.schema(definitions)
        if "description" in field.metadata:
            made = {**made, "description": str(field.metadata["description"])}
        if not _is_required(field):
            factory = field.default_factory
            default = field.default if factory is dataclasses.MISSING else factory()
            made = {**made, "default": inner.encode(default)}
        return made


class _Raw(Type):
    """str or bytes: the configuration as it is."""

    def __init__(self, python: type) -> None:
        self.python = python
        self.wants = "text"

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"type": "string"}


def _dataclass(cls: type, path: str, known: dict[type, _Dataclass]) -> _Dataclass:
    if cls not in known:
        known[cls] = _Dataclass(cls)
        known[cls].compile(path, known)
    return known[cls]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _similar(known: str, given: str) -> bool:
    """Whether the names differ at most in case, separators, the order of letters, or by one letter."""
    a, b = (re.sub(r"[-_ ]", "", name).lower() for name in (known, given))
    if a == b or sorted(a) == sorted(b):
        return True
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    return any(a[start + i :] == b[start + j :] for i, j in ((1, 0), (0, 1), (1, 1)))


# --- from a class to its type -------------------------------------------------------------------------------------


def compiled(annotation: Any, where: str = "config") -> Type:
    """Compile the annotation of a whole configuration.

    Raises:
        UnsupportedType: a type in it cannot be read from a configuration.
    """
    if annotation in (str, bytes):
        return _Raw(annotation)
    known: dict[type, _Dataclass] = {}
    return type_of(annotation, where, lambda cls, path: _dataclass(cls, path, known))


def load(config_class: type[_T], text: bytes | str) -> _T:
    """Build a configuration from JSON; for tests, and for configuration from other sources.

    Raises:
        ConfigError: `text` is not a valid configuration.
        TypeError: `config_class` has a field that cannot be read from JSON.
    """
    return cast("_T", decode(compiled(config_class), text))


def dump(config: object) -> str:
    """The JSON from which `load` builds `config`.

    Raises:
        TypeError: `config` is not a dataclass, or one that `load` could not build.
    """
    return json.dumps(compiled(type(config)).encode(config))


def schema(config_class: type) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a configuration.

    Raises:
        TypeError: it has a field that cannot be read from JSON.
    """
    return schema_of(compiled(config_class))


def schema_of(made: Type) -> dict[str, Any]:
    """The JSON schema of a compiled type."""
    definitions: dict[str, Any] = {}
    own = made.own_schema(definitions) if isinstance(made, _Dataclass) else made.schema(definitions)
    return {"$schema": _SCHEMA, **own, **({"$defs": definitions} if definitions else {})}


def decode(wanted: Type, text: bytes | str) -> Any:
    """Decode a configuration of type `wanted`.

    Raises:
        ConfigError: `text` does not match the type.
    """
    if isinstance(wanted, _Raw):
        return _raw(wanted, text)
    try:
        return _decoded(wanted, parse(text), "$")
    except ConfigError as error:
        if not text:
            error.problems.insert(0, "$: the configuration is empty")
        raise


def decode_part(wanted: Type, part: Part) -> Any:
    """Decode one of the configurations that Higress passes together; see `rules`.

    Raises:
        ConfigError: it does not match the type.
    """
    return _raw(wanted, part.text) if isinstance(wanted, _Raw) else _decoded(wanted, part.value, part.where)


def problems_in(wanted: Type, text: bytes | str) -> list[str]:
    """What is wrong with a configuration, or with the configurations in it; empty if a plugin takes it."""
    found: list[str] = []
    try:
        parts = parts_of(text)
        if parts is None:
            decode(wanted, text)
    except ConfigError as error:
        return error.problems
    for part in parts or ():
        try:
            decode_part(wanted, part)
        except ConfigError as error:
            found += error.problems
    return found


def _decoded(wanted: Type, value: Any, where: str) -> Any:
    problems: Problems = []
    made = wanted.decode(value, where, problems)
    if problems:
        raise ConfigError(problems)
    return made


def _raw(wanted: _Raw, text: bytes | str) -> bytes | str:
    if wanted.python is bytes:
        return text.encode() if isinstance(text, str) else text
    return as_text(text)


# --- for the dispatcher -------------------------------------------------------------------------------------------


def annotation_of(cls: type, but: tuple[type, ...]) -> Any:
    """The annotation of `config` in `cls` or in a base not listed in `but`; None if there is none.

    Raises:
        UnsupportedType: the annotation refers to an undefined name.
    """
    for klass in cls.__mro__:
        if klass in but:
            continue
        try:
            annotation = vars(klass).get("__annotations__") or klass.__annotations__
        except NameError:  # another annotation of the class uses a name that exists for type checkers only
            from annotationlib import Format, get_annotations  # type: ignore[import-not-found,unused-ignore]

            annotation = get_annotations(klass, format=Format.FORWARDREF)
        if "config" in annotation:
            return _evaluated(annotation["config"], klass)
    return None


def _evaluated(annotation: Any, cls: type) -> Any:
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules.get(module_name(cls))
    try:
        return eval(annotation, dict(namespace_of(module)), dict(vars(cls)))
    except Exception as error:
        raise UnsupportedType(
            f"{cls.__qualname__}.config: cannot resolve {annotation!r} ({error}); define it before the class"
        ) from error
