"""Where a gRPC call goes: what `proxy_grpc_call` and `proxy_grpc_stream` get as `upstream`.

Envoy decodes the bytes as an `envoy.config.core.v3.GrpcService`, and takes them for the name of a cluster only if that
fails. Many names are such a message by accident, without a target: "users", "inventory", "h1". For these Envoy panics
("unset oneof", K12 in docs/abi.md §0), so a name is never sent as it is.

Source: Envoy, source/extensions/common/wasm/context.cc; api/envoy/config/core/v3/grpc_service.proto.
"""

from __future__ import annotations

from .. import _validate
from .._protobuf import encode_field, fields_of

_ENVOY_GRPC, _GOOGLE_GRPC = 1, 2
_TARGET = 1
"""`EnvoyGrpc.cluster_name`, `GoogleGrpc.target_uri`."""


def target_of(upstream: str | bytes) -> bytes:
    """The encoded `GrpcService` for the name of a cluster, or for an encoded one, which is checked.

    Raises:
        TypeError: it is neither a str nor bytes.
        ValueError: it is empty, or has no target.
    """
    data = _validate.data("upstream", upstream)
    if not data:
        raise ValueError("upstream must be the name of a cluster or a serialized GrpcService, and not empty")
    if isinstance(upstream, str):
        return encode_field(_ENVOY_GRPC, encode_field(_TARGET, data))
    if not _has_target(data):
        raise ValueError(
            "upstream must be a serialized GrpcService with envoy_grpc.cluster_name or google_grpc.target_uri; the name"
            " of a cluster is passed as str"
        )
    return data


def _has_target(message: bytes) -> bool:
    """Whether Envoy would find a target; the last one counts, as for every `oneof`."""
    fields = fields_of(message)
    if fields is None:
        return False
    targets = [value for number, _, value in fields if number in {_ENVOY_GRPC, _GOOGLE_GRPC}]
    if not targets or not isinstance(targets[-1], bytes):
        return False
    inner = fields_of(targets[-1])
    return inner is not None and any(number == _TARGET and value for number, _, value in inner)
