"""Who imports modules that this Python does not have: `ssl`, `mmap`, `ctypes` …

A library that handles the ImportError itself gets one, because it knows what to do without the module. One that does
not gets a stand-in, which can be imported and not used (guest/inside/absent): mostly it is another half of the library
that has a use for it. The filter's own code gets the error, because nothing that it does with the module can work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from ..cpython314 import ABSENT
from .facts import Facts, Import
from .staged import ABSENT_FOLDER

_NAMES = frozenset({*ABSENT, *(missing for missing, _ in ABSENT.values())})
_MENTIONED = re.compile(rb"\b(?:import|from)\s[^\n]*\b(?:%s)\b" % "|".join(sorted(_NAMES)).encode())


@dataclass(frozen=True, slots=True)
class Source:
    """A source of the program."""

    text: Callable[[], bytes]
    facts: Callable[[], Facts]


@dataclass(frozen=True, slots=True)
class AbsentImports:
    """What the guest needs to know (see `pwasm._guest.absent`)."""

    modules: Mapping[str, str]
    """Absent module → the module in C that it needs; "" if the filter has a module of that name."""
    handled: Collection[str]
    """"file:line" of the imports whose ImportError is handled."""
    wanted: Collection[str]
    """What a library imports without handling the error: Python's own library gets it, too, because such a library
    goes on to import `HTTPSHandler` of `urllib.request`."""
    late: Collection[str]
    """The same in functions of libraries."""
    folder: str = ABSENT_FOLDER


def find_absent_imports(sources: Mapping[str, Source], own: Collection[str]) -> AbsentImports | None:
    """Look through the sources, by path, of which some are the filter's `own`; None if none mentions such a module."""
    mentioning = {path: source for path, source in sources.items() if _MENTIONED.search(source.text())}
    if not mentioning:
        return None
    handled: set[str] = set()
    wanted: set[str] = set()
    late: set[str] = set()
    for path, source in mentioning.items():
        for name, one in _imports(source.facts()) if path not in own else ():
            if one.handled:
                handled.add(f"{path}:{one.line}")
            else:
                (late if one.unit else wanted).add(name)
    shadowed = {name for name in ABSENT if f"{name}.py" in own or f"{name}/__init__.py" in own}
    modules = {name: missing for name, (missing, _) in ABSENT.items()} | dict.fromkeys(shadowed, "")
    return AbsentImports(modules, sorted(handled), sorted(wanted), sorted(late))


def _imports(facts: Facts) -> Iterator[tuple[str, Import]]:
    """Every import of one of them, with its name."""
    for one in facts.imports:
        name = one.module.partition(".")[0]
        if one.level == 0 and name in _NAMES:
            yield name, one
