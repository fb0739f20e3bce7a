"""A cursor over bytes. Every failure is a `DecodeError` with the offset from the start of the file."""

from __future__ import annotations

from ..errors import DecodeError


class Reader:
    """Reads forward from `position` to `end` in `data`; slices share memory, nothing is copied.

    Declared lengths are checked against the remaining bytes before anything is allocated.
    """

    __slots__ = ("data", "end", "position")

    def __init__(self, data: memoryview, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def at_end(self) -> bool:
        return self.position >= self.end

    def byte(self) -> int:
        if self.position >= self.end:
            raise DecodeError("unexpected end", offset=self.position)
        value = self.data[self.position]
        self.position += 1
        return value

    def peek(self) -> int:
        if self.position >= self.end:
            raise DecodeError("unexpected end", offset=self.position)
        return self.data[self.position]

    def take(self, count: int) -> memoryview:
        start = self.position
        if count > self.end - start:
            raise DecodeError(f"{count} bytes expected, {self.end - start} left", offset=start)
        self.position = start + count
        return self.data[start : self.position]

    def u32(self) -> int:
        """Unsigned LEB128 of at most 5 bytes and 32 bits."""
        start, value = self.position, 0
        if start < self.end and self.data[start] < 0x80:  # nearly always, and called hundreds of thousands of times
            self.position = start + 1
            return self.data[start]
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > 0xFFFFFFFF:
                    break
                return value
        raise DecodeError("integer does not fit into 32 bits", offset=start)

    def signed(self, bits: int) -> int:
        """Signed LEB128 of at most `bits` bits (32, 33 or 64)."""
        start, value = self.position, 0
        for shift in range(0, bits + 6, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte & 0x40:
                    value -= 1 << (shift + 7)
                if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
                    break
                return value
        raise DecodeError(f"integer does not fit into {bits} bits", offset=start)

    def count(self) -> int:
        """Length of a vector; each element takes at least one byte, so a larger count than bytes left is an error."""
        start = self.position
        value = self.u32()
        if value > self.end - self.position:
            raise DecodeError(f"{value} elements declared, {self.end - self.position} bytes left", offset=start)
        return value

    def name(self) -> str:
        start = self.position
        raw = self.take(self.u32())
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError("name is not UTF-8", offset=start) from error

    def section(self) -> tuple[int, Reader]:
        """Next section as (id, reader of its contents)."""
        identifier = self.byte()
        size = self.u32()
        start = self.position
        self.take(size)
        return identifier, Reader(self.data, start, start + size)

    def finish(self, what: str) -> None:
        """Raise unless everything was read."""
        if self.position != self.end:
            raise DecodeError(f"{what}: {self.end - self.position} bytes too many", offset=self.position)
