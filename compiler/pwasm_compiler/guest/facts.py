"""What a source says that a build must know, as the guest has found it when it compiled the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Import:
    """An import statement; one with a `unit` runs when that function does."""

    line: int
    unit: str
    level: int
    module: str
    names: tuple[str, ...]
    handled: bool
    """Whether an ImportError goes no further than its `try`."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A call of `import_module` or `__import__`; `pattern` has "*" for what is not a literal."""

    line: int
    unit: str
    pattern: str
    handled: bool


@dataclass(frozen=True, slots=True)
class Codec:
    """A text that is used as the name of a codec."""

    line: int
    unit: str
    name: str


@dataclass(frozen=True, slots=True)
class Class:
    """A class, with the names in its bases, its methods, and those of them that are `async def`, with lines."""

    name: str
    bases: tuple[str, ...]
    methods: tuple[str, ...]
    coroutines: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """A headers callback that mentions PAUSE; `shape` is explained in `paused_headers`."""

    cls: str
    method: str
    shape: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one source."""

    imports: tuple[Import, ...] = ()
    computed: tuple[Computed, ...] = ()
    codecs: tuple[Codec, ...] = ()
    compiles: tuple[int, ...] = ()
    """Lines that may need CPython's compiler when they run later."""
    docs: tuple[int, ...] = ()
    """Lines that read a docstring."""
    units: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Each outermost function, class, and method with the names that it mentions; "" is the module itself."""
    literals: tuple[str, ...] = ()
    """Texts that could be the name of a module, if one is computed."""
    spelled: tuple[str, ...] = ()
    """Names of codecs, if one is computed, or may be given to what is no text."""
    resumes: bool = False
    """Whether something in it may resume a stream, or waits."""
    classes: tuple[Class, ...] = ()
    pauses: tuple[Pause, ...] = ()
    inner: tuple[tuple[str, frozenset[str]], ...] = ()
    """Functions in functions, with the names that they mention."""


def read_facts(text: str) -> Facts:
    """The facts in what the guest wrote (`inside/pwasm_facts.py`)."""
    by_kind: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        kind, *fields = line.split("\t")
        by_kind.setdefault(kind, []).append(fields)

    def of(kind: str) -> Iterator[list[str]]:
        return iter(by_kind.get(kind, ()))

    return Facts(
        tuple(
            Import(int(line), unit, int(level), module, _list(names), handled != "")
            for line, unit, level, module, names, handled in of("import")
        ),
        tuple(Computed(int(line), unit, pattern, handled != "") for line, unit, pattern, handled in of("computed")),
        tuple(Codec(int(line), unit, name) for line, unit, name in of("codec")),
        tuple(sorted(int(line) for (line,) in of("compiles"))),
        tuple(sorted(int(line) for (line,) in of("doc"))),
        {unit: frozenset(_list(names)) for unit, names in of("unit")},
        tuple(literal for (literal,) in of("literal")),
        tuple(text for (text,) in of("spelled")),
        "resumes" in by_kind,
        tuple(
            Class(name, _list(bases), _list(methods), tuple(map(_coroutine, _list(coroutines))))
            for name, bases, methods, coroutines in of("class")
        ),
        tuple(Pause(cls, method, tuple(shape.split(" "))) for cls, method, shape in of("pause")),
        tuple((name, frozenset(_list(names))) for name, names in of("inner")),
    )


def _coroutine(text: str) -> tuple[str, int]:
    name, _, line = text.partition(":")
    return name, int(line)


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
