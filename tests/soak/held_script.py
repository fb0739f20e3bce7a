"""What happens to one stream: pieces of its two bodies, times between them, and what the filter decides about each.

A script is plain JSON, so that a failure can be written down and run again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Script = dict[str, Any]
MESSAGES = ("request", "response")
CHAINS = (
    "alone",
    "authz-before",
    "authz-after",
    "grpc-before",
    "grpc-after",
    "lua-before",
    "lua-after",
    "body-before",
    "body-after",
    "waits-before",
    "waits-after",
    "buffers-before",
    "buffers-after",
    "lua-and-authz",
    "waits-and-grpc",
    "upstream",
)
KINDS = (("drain", "pieces"), ("drain", "whole"), ("headers", "pieces"), ("headers", "whole"), ("headers", "holds"))
_FEW = 128
"""So many bytes can all be different, and remain so when they are turned over."""


def listeners() -> Iterator[tuple[str, str, str, str]]:
    """Name, chain, mode and kind of class."""
    for chain in CHAINS:
        for mode, kind in KINDS:
            yield f"{chain}|{mode}|{kind}", chain, mode, kind


def made(seed: int) -> Script:
    """The script of a seed."""
    chance = random.Random(seed)
    chain, (mode, kind) = chance.choice(CHAINS), chance.choice(KINDS)
    script: Script = {
        "seed": seed,
        "listener": f"{chain}|{mode}|{kind}",
        "client": chance.choice(("h1", "h2")),
    }
    busy = chance.choice((("request",), ("response",), MESSAGES))
    for message in MESSAGES:
        script[message] = _message(chance, message, chain, mode, kind) if message in busy else _quiet(chance)
    return script


def _quiet(chance: random.Random) -> Script:
    return {"gate": chance.choice((0, 0, 20)), "sizes": [], "gaps": [0], "framing": "length", "decisions": []}


def _message(chance: random.Random, message: str, chain: str, mode: str, kind: str) -> Script:
    sizes = [chance.choice((1, 1, 2, 3, 8)) for _ in range(chance.randint(1, 6))]
    if chance.random() < 0.15:
        # Less than HTTP/2's first window, which the client does not look at.
        sizes = [chance.choice((10, 1000, 20_000)) for _ in range(chance.randint(1, 3))]
    framing = chance.choice(("length", "chunked", "trailers"))
    awaits = chance.random() < 0.5
    whole = kind == "whole"
    return {
        "sizes": sizes,
        "same": message == "request" and chance.random() < 0.3,
        "gaps": [chance.choice((0, 0, chance.randint(1, 10), chance.randint(10, 60))) for _ in range(len(sizes) + 1)],
        "framing": framing,
        "joined": chance.random() < 0.5,
        "gate": chance.choice((0, chance.randint(1, 10), chance.randint(10, 80), chance.randint(10, 150))),
        "awaits": awaits,
        "headers": chance.choice((0, 0, 0, chance.randint(1, 40))),
        "ends": chain == "alone" or (mode == "headers" and whole),
        "decisions": [
            _decision(chance, awaits=awaits, pauses=awaits or whole or framing != "trailers")
            for _ in range(chance.randint(0, 8))
        ],
    }


def _decision(chance: random.Random, *, awaits: bool, pauses: bool) -> list[Any]:
    kinds = "c" + ("abp" if awaits else "") + ("q" if awaits else "") + ("ppr" if pauses and not awaits else "")
    return [chance.choice(kinds), chance.choice((1, chance.randint(5, 20), chance.randint(20, 50)))]


def body(script: Script, message: str) -> bytes:
    """The whole body, in which most bytes tell their place."""
    told = script[message]
    size: int = sum(told["sizes"])
    if told.get("same"):
        return b"a" * size
    if size <= _FEW:
        return bytes(range(size))
    seven_bits: bytes = random.Random(size).randbytes(size).translate(bytes(number & 0x7F for number in range(256)))
    return seven_bits


def turned(data: bytes) -> bytes:
    """What the filter makes of it."""
    return data.translate(bytes(number ^ 0x80 for number in range(256)))


def simpler(script: Script) -> Iterator[Script]:
    """Smaller scripts that may fail in the same way."""
    for message in MESSAGES:
        told = script[message]
        if told["sizes"]:
            yield {**script, message: _quiet(random.Random(1)) | {"gate": 0}}
        for at in range(len(told["sizes"])):
            if len(told["sizes"]) > 1:
                yield {**script, message: told | {"sizes": told["sizes"][:at] + told["sizes"][at + 1 :]}}
        for at in range(len(told["decisions"])):
            yield {**script, message: told | {"decisions": told["decisions"][:at] + told["decisions"][at + 1 :]}}
        for name in ("gate", "headers"):
            if told.get(name):
                yield {**script, message: told | {name: 0}}
        if any(told["gaps"]):
            for at, gap in enumerate(told["gaps"]):
                if gap:
                    yield {**script, message: told | {"gaps": [*told["gaps"][:at], 0, *told["gaps"][at + 1 :]]}}
        if told["framing"] != "chunked" and told["sizes"]:
            yield {**script, message: told | {"framing": "chunked"}}
    if script["client"] == "h2":
        yield {**script, "client": "h1"}
