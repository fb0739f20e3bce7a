"""Responses that Envoy generates, for a filter or of its own accord (docs/abi.md §1.16)."""

from __future__ import annotations

from typing import NamedTuple

from .headers import Headers
from .rules import holds

_GRPC_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


class LocalResponse(NamedTuple):
    """The arguments that the plugin passed to `send_http_response`."""

    status: int
    details: str
    body: bytes
    headers: Headers
    grpc_status: int


def local_message(local: LocalResponse, request: Headers) -> tuple[Headers, bytes]:
    """The headers and the body of a local response to this request."""
    body = local.body
    own = {":status"} if holds("a local response cannot set the status by a header") else set()
    extra = [pair for pair in local.headers if pair[0] not in own]
    if _is_grpc(request) and holds("a local response to gRPC is trailers only"):
        return _grpc_message(local, extra), b""
    headers = Headers([(":status", str(local.status)), *extra])
    if body:
        if "content-length" not in headers or holds("a local response has its own content-length"):
            headers.replace(b"content-length", str(len(body)).encode())
        if "content-type" not in headers and holds("a local response with a body is text unless it says otherwise"):
            headers.add(b"content-type", b"text/plain")
    head = request.get(":method") == "HEAD" and holds("a local response to HEAD has no body")
    return headers, b"" if head else body


def _is_grpc(request: Headers) -> bool:
    kind = request.get("content-type") or ""
    return kind == "application/grpc" or kind.startswith("application/grpc+")


def _grpc_message(local: LocalResponse, extra: list[tuple[str, str]]) -> Headers:
    status = local.grpc_status if local.grpc_status >= 0 else _GRPC_OF_HTTP.get(local.status, 2)
    headers = Headers([(":status", "200"), *extra])
    headers.replace(b"content-type", b"application/grpc")
    headers.replace(b"grpc-status", str(status).encode())
    if local.body:
        headers.replace(b"grpc-message", local.body)
    return headers
