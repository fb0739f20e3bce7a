"""A conformance case as data: the client's request, the filter's actions, and upstream's response.

What a case *expects* is in tests/golden/conformance.json: what a real Envoy did, written there by `pytest --bless`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Pairs = Sequence[tuple[str, str]]
Script = Mapping[str, Sequence[Sequence[Any]]]

HOST = "test.example"
VM_CONFIGURATION = "of the VM"
LIMIT = 1000
"""Bytes that the listener "limited" buffers."""
PLAIN_HEADERS = (("content-type", "text/plain"), ("x-twice", "1"), ("x-twice", "2"), ("x-empty", ""))


@dataclass(frozen=True, eq=False)
class Answer:
    """The response of an HTTP upstream. `chunks` None: no response at all."""

    status: int = 200
    headers: Pairs = PLAIN_HEADERS
    chunks: Sequence[bytes] | None = (b"hello upstream",)
    trailers: Pairs | None = None
    chunked: bool = False
    """Several chunks and trailers imply it; a header-only answer has `chunks` empty."""

    @property
    def is_chunked(self) -> bool:
        """Whether the body goes without a content-length."""
        return self.chunked or self.trailers is not None or len(self.chunks or ()) > 1


@dataclass(frozen=True, eq=False)
class Case:
    """One exchange.

    `id` begins with the number in docs/abi.md §5 (or `R4.4` for docs/reliability.md §4.4). `chunks` of a request are
    sent one after another, each when the filter has seen the one before. `wait` names callbacks that come after the
    stream's end, as often as they come. `ticks`: how often the emulator lets the time of a tick pass. `calls`: what
    the clusters answer to callouts, in order.
    """

    id: str
    script: Script = field(default_factory=dict)
    method: str = "GET"
    path: str = "/"
    headers: Pairs = ()
    body: bytes | None = None
    chunks: Sequence[bytes] | None = None
    trailers: Pairs = ()
    answer: Answer = Answer()
    listener: str = "plain"
    wait: Sequence[str] = ()
    ticks: int = 0
    calls: Sequence[Answer] = ()
    version: str = "1.1"
    """Of HTTP, on the client's side."""
    without_host: bool = False
    """Envoy itself answers with 400."""
    abort_after: str = ""
    """The client goes away when the filter has logged this callback."""
    no_stream: bool = False
    """The codec refuses the request before there is a stream."""
    ignore: Sequence[str] = ()
    """What of the outcome depends on who is quicker: how much of a request that is reset upstream saw, say."""
    one_turn: bool = False
    """All answers come in one turn of the event loop."""
    answer_after: int | None = None
    """Of a chain: after how many pieces of the body the neighbour's cluster answers; None for at once."""
    late: bool = False
    """Of a chain: the neighbours go on when the whole message has been sent, rather than at once."""
    tcp: Sequence[tuple[str, str]] = ()
    """A TCP case: steps of the client ("send", data), ("finish", ""), ("read", how many bytes), ("await", callback);
    upstream echoes in upper case, answers `bye` by closing."""

    def request_headers(self) -> list[tuple[str, str]]:
        """The headers after the request line on the wire."""
        host = () if self.without_host else (("host", HOST),)
        lines = [*host, ("x-case", self.id), *self.headers]
        if self.chunks is not None:
            lines.append(("transfer-encoding", "chunked"))
        elif self.body is not None:
            lines.append(("content-length", str(len(self.body))))
        return lines
