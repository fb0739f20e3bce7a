"""How an exchange beside other filters goes, step by step, in any world.

Many may take the same steps together: an Envoy is waited for once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .case import Case

DIRECTIONS = ("request", "response")


class Exchange(Protocol):
    """The client and the upstream of a case."""

    case: Case

    def begin(self, direction: str) -> None:
        """Send headers; those of a response only if upstream has the whole request."""

    def send(self, direction: str, piece: bytes, *, last: bool) -> None:
        """Send a piece of the body; the last one with the message's end."""

    def answer(self) -> bool:
        """Answer the filter's oldest callout; False if there is none."""


class Worker(Protocol):
    """The host."""

    def set_gate(self, *, open: bool) -> None:
        """Whether neighbours go on."""

    def rest(self) -> None:
        """Until nothing happens any more."""


def perform(worker: Worker, exchanges: Sequence[Exchange], *, late: bool) -> None:
    """Take all steps of both messages."""
    for direction in DIRECTIONS:
        worker.set_gate(open=not late)
        for one in exchanges:
            one.begin(direction)
        worker.rest()
        bodies = [pieces(one.case, direction) for one in exchanges]
        for number in range(max(map(len, bodies))):
            for one, body in zip(exchanges, bodies, strict=True):
                if number < len(body):
                    one.send(direction, body[number], last=number == len(body) - 1)
            worker.rest()
        worker.set_gate(open=True)
        worker.rest()
        while sum(one.answer() for one in exchanges):
            worker.rest()


def pieces(case: Case, direction: str) -> Sequence[bytes]:
    """The pieces of a message's body; none if the headers are all."""
    if direction == "request":
        return ([case.body] if case.body else ()) if case.chunks is None else (list(case.chunks) or [b""])
    answer = case.answer
    return list(answer.chunks or ()) or ([b""] if answer.is_chunked else [])
