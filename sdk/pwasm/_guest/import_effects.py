"""Finds the lines of a filter that read a clock or draw random numbers while it is imported.

Their results are part of the snapshot, so they are the same in every VM: `STARTED = time.time()` is in 1980, and
`SECRET = secrets.token_bytes()` is known to anyone who has the module. The shim reports each reading at the moment it
is made, whichever function makes it, and the line is that of the innermost frame at the top level of the filter's
modules. Code that reads nothing is not slowed down. What another module reads while it is imported does not count:
many modules of the standard library legitimately read the clock.
"""

from __future__ import annotations

import linecache
import sys
from types import CodeType, FrameType

from .._typing import Any, cast
from . import randomness, vm

_TOOL = 3
_OPTIMIZED = 1  # a flag of function bodies, which the bodies of modules and classes lack

_WHAT = (  # by the number of the kind, which is the shim's
    "reads a clock while it is imported; every VM gets the time of the build, 1 January 1980",
    "draws random numbers while it is imported; every VM gets the same values, and so does anyone who reads the module",
)
_RANDOM = 1


class Watch:
    """Observes the import of a filter."""

    def __init__(self) -> None:
        self._own: dict[int, CodeType] = {}  # by id, since code objects are compared by their contents
        self._found: dict[tuple[str, int], set[int]] = {}  # (file, line) → kinds
        self._seeding = False
        self._gauss: CodeType | None = None

    def start(self) -> None:
        """Start observing; called before the filter is imported."""
        randomness.observer = self
        vm.watch_reads(self._read)

    def add(self, code: CodeType) -> None:
        """Report what the code of a module reads, and the code of the classes in it."""
        self._own[id(code)] = code
        for constant in code.co_consts:
            if isinstance(constant, CodeType) and (
                not constant.co_flags & _OPTIMIZED
                or constant.co_name.startswith("<generic parameters of ")  # in which the class of `class A[T]` is made
            ):
                self.add(constant)

    def stop(self) -> list[str]:
        """Stop observing after the import; returns the warnings, line by line."""
        vm.end_watching()
        randomness.observer = randomness.Nobody()
        if self._gauss is not None:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # new in Python 3.12; the guest has 3.14
            monitoring.set_local_events(_TOOL, self._gauss, 0)
            monitoring.register_callback(_TOOL, monitoring.events.PY_START, None)
            monitoring.free_tool_id(_TOOL)
        return [
            f"{file}:{line} {_WHAT[kind]}"
            for (file, line), kinds in self._found.items()
            for kind in sorted(kinds)
            if not linecache.getline(file, line).lstrip().startswith(("import ", "from "))
        ]

    def watch_draws(self, random: Any) -> None:
        """Include what is drawn from generators, once `random` is imported: those that every VM reseeds."""
        vm.watch_draws(randomness.reseeded)
        self._gauss = random.Random.gauss.__code__  # every second number has been drawn with the one before
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
        monitoring.use_tool_id(_TOOL, "pwasm")
        monitoring.register_callback(_TOOL, monitoring.events.PY_START, self._start_gauss)
        monitoring.set_local_events(_TOOL, self._gauss, monitoring.events.PY_START)

    def _start_gauss(self, _code: CodeType, _offset: int) -> None:
        frame: Any = sys._getframe(1)
        if id(frame.f_locals.get("self")) in randomness.reseeded:
            self._read(_RANDOM)

    def changed(self) -> None:
        """`randomness.reseeded` has."""
        vm.generators_changed()

    def seeding(self, begins: bool) -> None:
        """A generator is being seeded that every VM reseeds: what is drawn for that does not count."""
        self._seeding = begins

    def _read(self, kind: int) -> FrameType | None:
        if self._seeding:
            return None
        frame: Any = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if id(code) in self._own:
                self._found.setdefault((code.co_filename, frame.f_lineno or 0), set()).add(kind)
                return cast("FrameType", frame)
            if code.co_name == "<module>" and not code.co_filename.startswith("<"):
                return None  # it is being imported; text that `exec` runs is in a file "<string>"
            frame = frame.f_back
        return None
