"""Header maps as the host keeps them: ordered, lower-case names, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pwasm._serde import to_bytes, to_text

Pairs = Iterable[tuple[str, str]]

# Headers Envoy keeps in a slot of their own: "add" joins the values with a comma (measured: design notes, abi.md §1.5).
_JOINED = frozenset({b":authority", b":method", b":path", b":scheme", b":status", b"content-type", b"user-agent"})


class Headers:
    """A list of (name, value) that can also be asked by name: `headers["x-a"]`, `headers.get_all("set-cookie")`."""

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

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"

    def get(self, name: str) -> str | None:
        """First value of a name, in any case; None when there is none."""
        value = self.first(to_bytes(name))
        return None if value is None else to_text(value)

    def get_all(self, name: str) -> list[str]:
        """Every value of a name."""
        wanted = to_bytes(name).lower()
        return [to_text(value) for key, value in self.raw if key == wanted]

    # --- the host's operations ------------------------------------------------------------------------------------

    def first(self, name: bytes) -> bytes | None:
        """First value of a name."""
        wanted = name.lower()
        return next((value for key, value in self.raw if key == wanted), None)

    def add(self, name: bytes, value: bytes) -> None:
        """Add a value as Envoy does."""
        wanted = name.lower()
        before = self.first(wanted)
        if wanted in _JOINED and before is not None:
            self.replace(wanted, before + b"," + value)
        else:
            self.raw.append((wanted, value))

    def replace(self, name: bytes, value: bytes) -> None:
        """Set a name to one value, where its first value was."""
        wanted = name.lower()
        places = [place for place, (key, _) in enumerate(self.raw) if key == wanted]
        if not places:
            self.raw.append((wanted, value))
            return
        self.raw[places[0]] = (wanted, value)
        for place in reversed(places[1:]):
            del self.raw[place]

    def remove(self, name: bytes) -> None:
        """Remove every value of a name."""
        wanted = name.lower()
        self.raw = [pair for pair in self.raw if pair[0] != wanted]

    def size(self) -> int:
        """Bytes of names and values, which is what the host calls a map's size."""
        return sum(len(name) + len(value) for name, value in self.raw)
