"""Walk a function body and find the indices in it (core spec §5.4).

The walk is a regular expression built from one table of opcodes: a match consumes a run of instructions without
indices and ends at the next one that has some. An object per instruction would cost tens of seconds for the 2.8 million
instructions of CPython; this takes about a second.

Plain `*` throughout: no two alternatives start alike, and nothing after a run has to match, so there is no reason to
backtrack. Possessive quantifiers would express that, but CPython before 3.11.5 matches them wrongly (gh-106052,
gh-100061).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from ..errors import DecodeError, ToolError, UnsupportedError
from .leb128 import decode_unsigned
from .module import Body
from .reader import Reader


class Space(IntEnum):
    """What an index in a function body refers to."""

    TYPE = 0
    FUNC = 1
    GLOBAL_GET = 2
    GLOBAL_SET = 3
    TABLE = 4
    RETURN = 5
    REF = 6  # a function whose reference is taken (`ref.func`), which an element segment must declare


class Site(NamedTuple):
    """An index in a body: bytes `start:end` of the file hold an index `target`, an unsigned LEB128, into `space`.

    For RETURN it is the instruction, and `target` the number of enclosing blocks. For the two global spaces, `start` is
    the position of the opcode, so that the whole instruction can be replaced.
    """

    start: int
    end: int
    space: Space
    target: int


_LEB = rb"[\x80-\xff]{0,9}[\x00-\x7f]"

# Opcodes without an index that a linker must rewrite, by the form of their immediates.
_PLAIN = {
    "none": rb"[\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\xc4\xd1]",
    "one integer (br, br_if, local.*, i32.const, i64.const)": rb"[\x0c\x0d\x20-\x22\x41\x42]" + _LEB,
    "memarg (loads and stores)": rb"[\x28-\x3e]" + _LEB + _LEB,
    "block type that is empty or a value type": rb"[\x02-\x04][\x40-\x7f]",
    "f32.const": rb"\x43.{4}",
    "f64.const": rb"\x44.{8}",
    "memory.size, memory.grow": rb"[\x3f\x40]\x00",
    "select with one type": rb"\x1c\x01.",
    "saturating conversions": rb"\xfc[\x00-\x07]",
    "memory.copy": rb"\xfc\x0a\x00\x00",
    "memory.fill": rb"\xfc\x0b\x00",
    "ref.null": rb"\xd0.",
}
_RUN = re.compile(rb"(?s)(?:" + rb"|".join(_PLAIN.values()) + rb")*")
# The common case in one match: a run, then `call`, `global.get` or `global.set`.
_RUN_THEN_INDEX = re.compile(_RUN.pattern + rb"(?:([\x10\x23\x24])([\x80-\xff]{0,4}[\x00-\x7f]))?")

# A run that ends at an `i32.const` of five bytes, or at an instruction that has no fixed length.
_INTEGER = "one integer (br, br_if, local.*, i32.const, i64.const)"
_RUN_THEN_CONSTANT = re.compile(
    rb"(?s)(?:"
    + rb"|".join(text for name, text in _PLAIN.items() if name != _INTEGER)
    + rb"|(?:[\x0c\x0d\x10\x20-\x24\x42\xd2]" + _LEB + rb"|\x41[\x80-\xff]{0,3}[\x00-\x7f])"
    + rb"|\x11" + _LEB + _LEB + rb"|[\x02-\x04]" + _LEB
    + rb")*(?:\x41([\x80-\xff]{4}[\x00-\x7f]))?"
)  # fmt: skip

_SPACE_OF = {0x10: Space.FUNC, 0x23: Space.GLOBAL_GET, 0x24: Space.GLOBAL_SET}
_BLOCKS = (0x02, 0x03, 0x04)
_BR_TABLE, _CALL_INDIRECT, _REF_FUNC = 0x0E, 0x11, 0xD2
_LONG = 5
"""Bytes of a padded integer."""


def skip_locals(code: bytes, body: Body) -> int:
    """Offset of the first instruction of `body`."""
    if code.startswith(b"\0", body.start, body.end):  # no locals
        return body.start + 1
    reader = Reader(memoryview(code), body.start, body.end)
    for _ in range(reader.count()):
        reader.u32()
        reader.byte()
    return reader.position


def sites(code: bytes, body: Body, indices: dict[bytes, int]) -> Iterator[Site]:
    """Every index in `body`, in order. `indices` caches decoded integers across bodies.

    Raises:
        DecodeError: an instruction extends past the end of the body.
        UnsupportedError: an opcode outside the subset; tables that change at run time are outside it, which is
            what lets the linker follow trampolines through a table.
    """
    position, end = skip_locals(code, body), body.end
    match = _RUN_THEN_INDEX.match
    while position < end:
        found = match(code, position, end)
        assert found is not None
        if found.lastindex:
            start, stop = found.span(2)
            raw = code[start:stop]
            index = indices.get(raw)
            if index is None:
                index = indices[raw] = decode_unsigned(raw)
            opcode = code[start - 1]
            yield Site(start if opcode == 0x10 else start - 1, stop, _SPACE_OF[opcode], index)
            position = stop
        elif found.end() < end:
            reader = Reader(memoryview(code), found.end(), end)
            yield from _irregular(reader)
            position = reader.position
        else:
            position = end
    if code[end - 1] != 0x0B:
        raise DecodeError("function body does not end with `end`", offset=end - 1)


class Walks:
    """The sites of the bodies of one file. Several passes need them; each body is walked once."""

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._found: dict[tuple[int, int], list[Site]] = {}
        self._indices: dict[bytes, int] = {}

    def sites(self, body: Body) -> list[Site]:
        """The same as the function `sites`."""
        place = body.start, body.end
        found = self._found.get(place)
        if found is None:
            found = self._found[place] = list(sites(self._code, body, self._indices))
        return found


def long_constants(code: bytes, body: Body) -> Iterator[int]:
    """The operand of every `i32.const` of five bytes in `body`, as unsigned; `sites` must have walked the body before.

    A linker pads a location that it has relocated to full length, whatever the value: these are the addresses and table
    slots, as opposed to numbers of the same size.
    """
    position, end = skip_locals(code, body), body.end
    while position < end:
        found = _RUN_THEN_CONSTANT.match(code, position, end)
        assert found is not None
        position = found.end()
        if found.lastindex:
            yield decode_unsigned(found[1]) & 0xFFFFFFFF
        elif position < end:
            reader = Reader(memoryview(code), position, end)
            for _ in _irregular(reader):
                pass
            position = reader.position


def branch_tables(code: bytes, body: Body) -> Iterator[int]:
    """The number of targets of every `br_table` in `body`, without the default. The same errors as `sites`."""
    position, end = skip_locals(code, body), body.end
    while position < end:
        found = _RUN_THEN_INDEX.match(code, position, end)
        assert found is not None
        position = found.end()
        if found.lastindex or position >= end:
            continue
        reader = Reader(memoryview(code), position, end)
        if code[position] == _BR_TABLE:
            reader.byte()
            count = reader.count()
            yield count
            for _ in range(count + 1):
                reader.u32()
        else:
            for _ in _irregular(reader):
                pass
        position = reader.position


_ONE = re.compile(
    rb"(?s)" + rb"|".join(_PLAIN.values()) + rb"|[\x02-\x04\x10\x23\x24\xd2]" + _LEB + rb"|\x11" + _LEB + _LEB
)
_RETURN, _END = 0x0F, 0x0B


def returns(code: bytes, body: Body) -> Iterator[Site]:
    """Every `return` of `body`, which `sites` must have walked. Decodes one instruction at a time: slow."""
    position, depth = skip_locals(code, body), 0
    while position < body.end:
        opcode = code[position]
        if opcode == _BR_TABLE:
            reader = Reader(memoryview(code), position + 1, body.end)
            for _ in range(reader.count() + 1):
                reader.u32()
            position = reader.position
            continue
        if opcode in _BLOCKS:
            depth += 1
        elif opcode == _END:
            depth -= 1
        elif opcode == _RETURN:
            yield Site(position, position + 1, Space.RETURN, depth)
        found = _ONE.match(code, position, body.end)
        assert found is not None
        position = found.end()


def _irregular(reader: Reader) -> Iterator[Site]:
    at, opcode = reader.position, reader.byte()
    if opcode == _BR_TABLE:
        for _ in range(reader.count() + 1):
            reader.u32()
    elif opcode in _BLOCKS:
        yield _site(reader, Space.TYPE)
    elif opcode == _CALL_INDIRECT:
        yield _site(reader, Space.TYPE)
        yield _site(reader, Space.TABLE)
    elif opcode == _REF_FUNC:
        yield _site(reader, Space.REF)
    else:
        raise UnsupportedError(f"unknown instruction {opcode:#04x}", offset=at)


def _site(reader: Reader, space: Space) -> Site:
    start = reader.position
    index = reader.u32()
    return Site(start, reader.position, space, index)


def _known_body() -> tuple[bytes, list[tuple[Space, int]], list[int]]:
    """A body with integers of all lengths before every kind of index, and the results expected of the walk."""
    code, indices, constants = bytearray(b"\0"), [], []
    opcodes = (*_SPACE_OF.items(), (_REF_FUNC, Space.REF))
    for size in range(1, 6):
        integer = bytes([0xD0] * (size - 1) + [0x10])
        for number, (opcode, space) in enumerate(opcodes, 1):
            code += b"\x41" + integer + b"\x28" + integer + integer + b"\xd0\x70\xfc\x0b\0\x43" + b"\xd0" * 4
            code += bytes([opcode, 0x80 | number, size])
            indices.append((space, size << 7 | number))
            constants += [decode_unsigned(integer) & 0xFFFFFFFF] if size == _LONG else []
    return bytes(code + b"\x0b"), indices, constants


def self_check() -> None:
    """Walk a known body, in well under a millisecond: Python's regular expressions have had bugs.

    Raises:
        ToolError: the walk finds something other than what is there.
    """
    code, *expected = _known_body()
    body = Body(0, len(code))
    try:
        found = [[(site.space, site.target) for site in sites(code, body, {})], list(long_constants(code, body))]
        problem = "the numbers found are wrong"
    except DecodeError as error:
        found, problem = [], error.what
    if found != expected:
        version = ".".join(map(str, sys.version_info[:3]))
        raise ToolError(
            "this Python cannot build filters",
            why=f"Python {version} ({sys.executable}) misreads a known function body: {problem}.",
            hint="create the virtual environment with another Python, 3.11 or later (make PYTHON=…)",
        )
