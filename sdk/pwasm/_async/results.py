"""The results of calls to other services: a response, or one of these errors; public in `pwasm.aio`."""

from __future__ import annotations

from .._serde import decode_pairs, to_text


class CalloutError(Exception):
    """A call to another service got no usable answer."""

    def __init__(self, upstream: str | bytes, message: str) -> None:
        super().__init__(upstream, message)
        self.upstream = upstream
        self.message = message

    def __str__(self) -> str:
        name = self.upstream if isinstance(self.upstream, str) else "a gRPC service"
        return f"call to {name}: {self.message}"


class CalloutTimeout(CalloutError, TimeoutError):  # noqa: N818, named after what happened
    """No answer arrived in time."""


class CalloutReset(CalloutError):  # noqa: N818
    """The connection could not be established, or broke before the answer was complete.

    `response` is the response that Envoy generated instead, or None.
    """

    def __init__(self, upstream: str | bytes, message: str, response: HttpResponse | None = None) -> None:
        super().__init__(upstream, message)
        self.response = response


class CalloutRefused(CalloutError):  # noqa: N818
    """Envoy did not make the call; `__cause__` is the `HostcallError`."""


def percent_decoded(message: bytes) -> str:
    """A gRPC status message, of which the wire has percent-encoded UTF-8; what is no encoding stays as it is.

    Source: grpc, doc/PROTOCOL-HTTP2.md, "Responses".
    """
    first, *parts = message.split(b"%")
    found = [first]
    for part in parts:
        digits = part[:2]
        if len(digits) == 2 and all(digit in _HEXADECIMAL for digit in digits):
            found.append(bytes([int(digits, 16)]) + part[2:])
        else:
            found.append(b"%" + part)
    return to_text(b"".join(found))


_HEXADECIMAL = b"0123456789abcdefABCDEF"


class GrpcError(CalloutError):
    """A gRPC call failed; `status` is the gRPC status, `message` the error message.

    The message is the service's, decoded, and followed by Envoy's details: `not you{via_upstream}`.
    """

    def __init__(self, upstream: str | bytes, status: int, message: str) -> None:
        super().__init__(upstream, message)
        self.status = status

    def __str__(self) -> str:
        return f"{super().__str__()} (gRPC status {self.status})"


class HttpResponse:
    """The answer to an HTTP call."""

    __slots__ = ("_headers", "_trailers", "body", "status")

    def __init__(self, headers: bytes, body: bytes, trailers: bytes) -> None:
        self._headers = decode_pairs(headers)
        self._trailers = trailers
        self.body = body
        """The whole body."""
        self.status = 0
        """The HTTP status."""
        for name, value in self._headers:
            if name == b":status":
                self.status = int(value) if value.isdigit() else 0
                break

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Pairs of str (UTF-8 with surrogateescape), `:status` included; names are in lower case."""
        return [(to_text(name), to_text(value)) for name, value in self._headers]

    @property
    def headers_bytes(self) -> list[tuple[bytes, bytes]]:
        """The same as pairs of bytes."""
        return list(self._headers)

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """Pairs of str; an empty list when there are none."""
        return [(to_text(name), to_text(value)) for name, value in decode_pairs(self._trailers)]

    @property
    def trailers_bytes(self) -> list[tuple[bytes, bytes]]:
        """The same as pairs of bytes."""
        return list(decode_pairs(self._trailers))

    def header(self, name: str) -> str | None:
        """The first value of a header; None if the header is absent."""
        wanted = name.lower().encode()
        return next((to_text(value) for key, value in self._headers if key == wanted), None)

    @property
    def text(self) -> str:
        """The body as text (UTF-8 with surrogateescape)."""
        return to_text(self.body)

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self._headers)} headers, {len(self.body)} bytes>"

    @property
    def by_envoy(self) -> bool:
        """Whether Envoy generated this response because there was none from the service.

        Envoy's own responses have no headers other than these; a service's have x-envoy-upstream-service-time (measured
        with 1.40, docs/abi.md §1.6).
        """
        return self.status >= 500 and {name for name, _ in self._headers} <= _OF_LOCAL_ANSWERS


_OF_LOCAL_ANSWERS = {b":status", b"content-length", b"content-type"}
TIMED_OUT = (504, b"upstream request timeout")
