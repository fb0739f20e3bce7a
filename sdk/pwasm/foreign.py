"""Envoy's foreign functions, as functions.

    packed = pwasm.foreign.compress(b"…")
    with pwasm.foreign.Expression("request.path.startsWith('/admin')") as admin:
        if admin.evaluate(bool): ...

All of them may be called in every callback unless stated otherwise. If Envoy lacks the function, they raise `NotFound`;
any other status is an error of the function itself. Expressions are evaluated for the context whose callback is
running, regardless of the stream selected with `set_effective_context`.

Source: Envoy, source/extensions/common/wasm/foreign.cc.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from . import _validate
from ._hostcalls import foreign_results
from ._protobuf import decode_fields, encode_field
from ._typing import Any, TypeVar
from .errors import InternalFailure
from .hostcalls import call_foreign_function

__all__ = [
    "Expression",
    "LifeSpan",
    "PropertyType",
    "clear_route_cache",
    "compress",
    "declare_property",
    "set_envoy_filter_state",
    "sign",
    "uncompress",
    "verify_signature",
]

_T = TypeVar("_T", bool, int, float, str, bytes)


def compress(data: bytes | str) -> bytes:
    """Compress `data` with zlib in the host, which is much faster than in Python."""
    return call_foreign_function("compress", _validate.data("data", data))


def uncompress(data: bytes, max_size: int = foreign_results.UNCOMPRESS_LIMIT) -> bytes:
    """Uncompress a zlib stream.

    In the module, and not in the host: Envoy would not survive a result for which the module has no room (K13), and
    265 kB may inflate to 260 MB.

    Args:
        data: the zlib stream.
        max_size: the most bytes that the result may have.

    Raises:
        TypeError, ValueError: an argument has the wrong type, or the result has more than `max_size` bytes.
        SerializationFailure: `data` is not a zlib stream.
    """
    return foreign_results.uncompress(_validate.data("data", data), _validate.integer("max_size", max_size, 0, 2**31))


def clear_route_cache() -> None:
    """Make Envoy select the route again, after something that the selection depends on has changed.

    A change of a request header does this implicitly. Envoy 1.33 and later; does nothing without a stream.

    Raises:
        BadArgument: the request has gone upstream (Envoy may crash).
    """
    call_foreign_function("clear_route_cache")


class Expression:
    """A CEL expression over the stream's properties, compiled by the host.

    The host keeps it until `delete` (or the end of the `with` block), so create expressions once, in `on_plugin_start`,
    and reuse them.

    Raises:
        TypeError: `text` is not a str.
        BadArgument: `text` is not a CEL expression.
    """

    def __init__(self, text: str) -> None:
        self.text = _validate.text("text", text)
        self._token: bytes | None = call_foreign_function("expr_create", text)

    def evaluate(self, kind: type[_T]) -> _T | None:
        """The value of the expression; None if it is null or cannot be computed (a missing header, say).

        Args:
            kind: the type of the result: bool, int, float, str or bytes. The host does not check it; a list or map
                must be read as bytes (encoded as header pairs).

        Raises:
            TypeError: `kind` is none of the five.
            ValueError: the size of the result does not match `kind`, or the expression was deleted.
        """
        decode = _DECODERS.get(kind)
        if decode is None:
            raise TypeError(f"kind must be bool, int, float, str or bytes, not {kind!r}")
        if self._token is None:
            raise ValueError(f"the expression {self.text!r} was deleted")
        try:
            result = call_foreign_function("expr_evaluate", self._token)
        except InternalFailure:
            return None
        value: _T = decode(result)
        return value

    def delete(self) -> None:
        """Delete the expression in the host; a second call does nothing."""
        token, self._token = self._token, None
        if token is not None:
            call_foreign_function("expr_delete", token)

    def __enter__(self) -> Expression:
        return self

    def __exit__(self, *exception: object) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


class PropertyType(IntEnum):
    """How Envoy stores a declared property."""

    BYTES = 0
    STRING = 1
    FLATBUFFERS = 2
    PROTOBUF = 3


class LifeSpan(IntEnum):
    """How long a declared property or filter state lives."""

    FILTER_CHAIN = 0
    DOWNSTREAM_REQUEST = 1
    DOWNSTREAM_CONNECTION = 2


def declare_property(
    name: str,
    kind: PropertyType = PropertyType.BYTES,
    *,
    readonly: bool = False,
    schema: bytes = b"",
    span: LifeSpan = LifeSpan.FILTER_CHAIN,
) -> None:
    """Declare the type and the life span of a property before `set_property` first sets it.

    Call it in a callback of the plugin, such as `on_plugin_start`: Envoy stores the declaration in the context whose
    callback is running but reads only the plugin's, so elsewhere it has no effect (measured with 1.40).

    Args:
        name: name of the property.
        kind: how it is stored; expressions and the access log read it accordingly.
        readonly: meant to forbid a second write; Envoy 1.40 does not.
        schema: for FLATBUFFERS the schema, for PROTOBUF the type URL.
        span: how long it lives.

    Raises:
        TypeError: an argument has the wrong type.
        BadArgument: the property is already declared.
    """
    if not isinstance(readonly, bool):
        _validate.type_error("readonly", "bool", readonly)
    message = encode_field(1, _validate.text("name", name)) + encode_field(2, int(readonly))
    message += encode_field(3, _validate.integer("kind", kind, 0, 3)) + encode_field(
        4, _validate.data("schema", schema)
    )
    call_foreign_function("declare_property", message + encode_field(5, _validate.integer("span", span, 0, 2)))


def set_envoy_filter_state(name: str, value: str | bytes, span: LifeSpan = LifeSpan.FILTER_CHAIN) -> None:
    """Set a filter state object that Envoy itself reads, such as `envoy.tcp_proxy.cluster`.

    Raises:
        TypeError: an argument has the wrong type.
        NotFound: this Envoy has no object factory of that name; Envoy's documentation lists them under "well known
            filter state objects".
        BadArgument: the factory does not accept `value`.
    """
    message = encode_field(1, _validate.text("name", name)) + encode_field(2, _validate.data("value", value))
    call_foreign_function("set_envoy_filter_state", message + encode_field(3, _validate.integer("span", span, 0, 2)))


def verify_signature(hash_function: str, public_key: bytes | str, signature: bytes, text: bytes | str) -> bool:
    """Whether `signature` is a valid signature of `text`.

    Args:
        hash_function: name of the hash, such as "sha256".
        public_key: the key: DER as bytes, or PEM as str (newer Envoys only).
        signature: the signature.
        text: the signed data.

    Raises:
        TypeError: an argument has the wrong type.
        BadArgument: the host could not decode the arguments.
    """
    message = encode_field(1, _validate.text("hash_function", hash_function)) + _key("public_key", public_key, 5)
    message += encode_field(3, _validate.data("signature", signature)) + encode_field(4, _validate.data("text", text))
    return bool(decode_fields(call_foreign_function("verify_signature", message)).get(1))


def sign(hash_function: str, private_key: bytes | str, text: bytes | str) -> bytes:
    """The signature of `text`; arguments and errors as for `verify_signature`. Newer Envoys only.

    Raises:
        ValueError: the host could not sign; the message has its reason (an invalid key, an unknown hash).
    """
    message = encode_field(1, _validate.text("hash_function", hash_function)) + _key("private_key", private_key, 4)
    result = decode_fields(call_foreign_function("sign", message + encode_field(3, _validate.data("text", text))))
    signature = result.get(2, b"")
    if not result.get(1) or not isinstance(signature, bytes):
        raise ValueError(f"the host could not sign: {result.get(3, b'')!r}")
    return signature


# --- the encodings ------------------------------------------------------------------------------------------------


def _number(size: int) -> Any:
    def decode(data: bytes) -> int:
        if len(data) != size:
            raise ValueError(f"the result has {len(data)} bytes, not the {size} of a number or bool")
        return int.from_bytes(data, "little", signed=True)

    return decode


def _float(data: bytes) -> float:
    if len(data) != 8:
        raise ValueError(f"the result has {len(data)} bytes, not the 8 of a number")
    return float(struct.unpack("<d", data)[0])


_DECODERS: dict[type, Any] = {
    bool: lambda data: bool(_number(1)(data)),
    int: _number(8),
    float: _float,
    str: lambda data: data.decode("utf-8", "surrogateescape"),
    bytes: bytes,
}


def _key(argument: str, key: bytes | str, number_of_pem: int) -> bytes:
    return encode_field(number_of_pem if isinstance(key, str) else 2, _validate.data(argument, key))
