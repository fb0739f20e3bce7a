"""Header maps as the host stores them: ordered, with lower-case names, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pwasm._serde import to_bytes, to_text

from .rules import holds

Pairs = Iterable[tuple[str, str]]

# Headers that Envoy stores inline, for which "add" joins the values with a comma (docs/abi.md §1.5).
INLINE = frozenset(
    b":authority :method :path :scheme :status accept accept-encoding authorization cache-control content-length"
    b" content-type etag expect grpc-message grpc-status location origin referer server te upgrade user-agent vary via"
    b" x-forwarded-for x-forwarded-proto x-request-id".split()
)


class Headers:
    """A list of (name, value) pairs with access by name: `headers["x-a"]`, `headers.get_all("set-cookie")`."""

    def __init__(self, pairs: Iterable[tuple[str | bytes, str | bytes]] = ()) -> None:
        self.raw = [(to_bytes(name).lower(), to_bytes(value)) for name, value in pairs]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(to_text(name), to_text(value)) for name, value in self.raw])

    def __len__(self) -> int:
        return len(self.raw)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (Headers, list)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def get(self, name: str) -> str | None:
        """The first value of a name, case-insensitively; None if there is none."""
        value = self.first(to_bytes(name))
        return None if value is None else to_text(value)

    def get_all(self, name: str) -> list[str]:
        """All values of a name."""
        wanted = to_bytes(name).lower()
        return [to_text(value) for key, value in self.raw if key == wanted]

    # --- the host's operations ------------------------------------------------------------------------------------

    def first(self, name: bytes) -> bytes | None:
        """The first value of a name."""
        wanted = name.lower() if holds("names are found in any case") else name
        return next((value for key, value in self.raw if key == wanted), None)

    def add(self, name: bytes, value: bytes) -> None:
        """Add a value as Envoy does."""
        name = name.lower() if holds("names are stored in lower case") else name
        place = next((place for place, (key, _) in enumerate(self.raw) if key == name), -1)
        joins = name in INLINE and holds("adding to an inline header joins")
        if place >= 0 and (joins or not holds("adding to any other header adds a line")):
            self.raw[place] = (name, self.raw[place][1] + b"," + value)
        elif name.startswith(b":") and holds("pseudo headers come first"):
            self.raw.insert(sum(key.startswith(b":") for key, _ in self.raw), (name, value))
        else:
            self.raw.append((name, value))

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a name to a single value."""
        key = name.lower() if holds("names are stored in lower case") else name
        place = next((place for place, (other, _) in enumerate(self.raw) if other == key), -1)
        if place >= 0 and (key in INLINE or not holds("a header that is replaced moves to the end")):
            self.raw[place] = (key, value)
            return
        if holds("replacing leaves one value"):
            self.remove(key)
        self.add(key, value)

    def remove(self, name: bytes) -> None:
        """Remove all values of a name."""
        wanted = name.lower()
        if holds("removing removes every value"):
            self.raw = [pair for pair in self.raw if pair[0] != wanted]
        else:
            place = next((place for place, (key, _) in enumerate(self.raw) if key == wanted), len(self.raw))
            del self.raw[place : place + 1]

    def set(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Replace all pairs, adding them one after another."""
        self.raw = []
        for name, value in pairs:
            self.add(name, value)

    def size(self) -> int:
        """The host's notion of a map's size: the bytes of names and values (docs/abi.md §1.2)."""
        if not holds("a map's size is in bytes"):
            return len(self.raw)
        return sum(len(name) + len(value) for name, value in self.raw)
