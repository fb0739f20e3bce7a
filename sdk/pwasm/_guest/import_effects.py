"""Finds the lines of a filter that read a clock or draw random numbers while it is imported.

Their results are part of the snapshot, so they are the same in every VM: `STARTED = time.time()` is in 1980, and
`SECRET = secrets.token_bytes()` is known to anyone who has the module. The interpreter reports each line at the top
level of the filter's modules (`sys.monitoring`). Between two reports, the shim counts requests to the host's clock and
random source, whichever function makes them, and the states of random generators may change. Import statements are
ignored: many modules of the standard library legitimately read the clock.
"""

from __future__ import annotations

import linecache
import sys
from types import CodeType

from .._typing import Any
from . import randomness, vm

_TOOL = 3
_OPTIMIZED = 1  # a flag of function bodies, which the bodies of modules and classes lack

_CLOCK = "reads a clock while it is imported; every VM gets the time of the build, 1 January 1980"
_RANDOM = (
    "draws random numbers while it is imported; every VM gets the same values, and so does anyone who reads the module"
)


class Watch:
    """Monitors the import of a filter."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._last = ("", 0)
        self._clock, self._random = 0, 0
        self._states: dict[int, int] = {}

    def start(self) -> None:
        """Start monitoring; called before the filter is imported."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # new in Python 3.12; the guest has 3.14
        monitoring.use_tool_id(_TOOL, "pwasm")
        monitoring.register_callback(_TOOL, monitoring.events.LINE, self._line)
        randomness.seeded = self._forgive

    def add(self, code: CodeType) -> None:
        """Report the lines of a module and of the classes in it."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
        monitoring.set_local_events(_TOOL, code, monitoring.events.LINE)
        for constant in code.co_consts:
            if isinstance(constant, CodeType) and not constant.co_flags & _OPTIMIZED:
                self.add(constant)

    def stop(self) -> list[str]:
        """Stop monitoring after the import; returns the warnings, in the order of the lines."""
        self._line(None, 0)
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
        monitoring.register_callback(_TOOL, monitoring.events.LINE, None)
        monitoring.free_tool_id(_TOOL)
        return [f"{place} {what}" for place, found in self._found.items() for what in found]

    def _forgive(self) -> None:
        """A generator was created that every VM reseeds: the randomness drawn for its seed does not count."""
        self._random = vm.reads()[1]

    def _line(self, code: CodeType | None, line: int) -> None:
        """A line begins: everything counted since the last report belongs to the previous line."""
        clock, drawn = vm.reads()
        states = randomness.states()
        moved = drawn != self._random or any(self._states.get(key, state) != state for key, state in states.items())
        file, number = self._last
        if file and not linecache.getline(file, number).lstrip().startswith(("import ", "from ")):
            for seen, what in ((clock != self._clock, _CLOCK), (moved, _RANDOM)):
                found = self._found.setdefault(f"{file}:{number}", []) if seen else []
                if seen and what not in found:
                    found.append(what)
        self._last = ("" if code is None else code.co_filename, line)
        self._clock, self._random, self._states = clock, drawn, states
