"""A gRPC server of grpcio, without protobuf: messages are bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

CANCELLED = frozenset({"cancel", "left"})
"""`x-meta` of the streams whose clients cancel them."""


class GrpcService(grpc.GenericRpcHandler):
    """`test.Service` without protobuf: messages are bytes. Keeps what it received and which calls were cancelled."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, list[str]], bytes]] = []
        self.cancelled: list[str] = []
        self.release = threading.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        unary = {"Echo": self.echo, "Fail": self.fail, "Slow": self.slow}
        stream = {"Chat": self.chat, "Refuse": self.refuse}
        service, _, method = handler_call_details.method.removeprefix("/").partition("/")
        if service == "test.Service" and method in unary:
            return grpc.unary_unary_rpc_method_handler(unary[method])
        if service == "test.Service" and method in stream:
            return grpc.stream_stream_rpc_method_handler(stream[method])
        return None

    def keep(self, method: str, message: bytes, context: grpc.ServicerContext) -> None:
        metadata: dict[str, list[str]] = {}
        for name, value in context.invocation_metadata():
            metadata.setdefault(name, []).append(value)
        self.received.append((method, metadata, message))

    def of(self, method: str, message: bytes) -> dict[str, list[str]]:
        """Metadata of the first call with this message."""
        return next(metadata for name, metadata, got in self.received if (name, got) == (method, message))

    def echo(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self.keep("Echo", message, context)
        return b"<" + message + b">"

    def fail(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        raise AssertionError

    def slow(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(lambda: self.cancelled.append("Slow"))
        self.keep("Slow", message, context)
        self.release.wait(10)
        return message

    def chat(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        name = dict(context.invocation_metadata()).get("x-meta", "")
        over = threading.Event()

        def ended() -> None:
            if name in CANCELLED:
                self.cancelled.append(name)
            over.set()

        context.add_callback(ended)
        context.send_initial_metadata([("x-initial", "first")])
        for message in messages:
            self.keep("Chat", message, context)
            yield message.upper()
        if name in CANCELLED:  # the messages may end before `is_active` knows of the cancellation
            over.wait(10)
            return
        context.set_trailing_metadata([("x-trailing", "last")])
        yield b"goodbye"

    def refuse(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.set_trailing_metadata([("x-trailing", "because")])
        next(messages)
        yield b"no"
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")


@contextmanager
def grpc_server() -> Iterator[tuple[GrpcService, int]]:
    service = GrpcService()
    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, handlers=[service])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield service, port
        service.release.set()
        server.stop(0).wait()
