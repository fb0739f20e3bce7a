"""Budgets: a callback that loops forever raises an exception instead of blocking the worker.

Envoy does not limit the CPU time of filters: an endless loop stops every connection of its worker. With a budget, each
callback may take so much time, or so many steps; then `TimeBudgetExceeded` or `StepBudgetExceeded` is raised, and again
at each later step until the callback ends, so that code that catches every exception cannot continue. Code of the SDK
is never interrupted.

The *time* budget covers Python and the loops of CPython that look for Ctrl-C (`re`, large ints), and iterators without
an end: the linker puts a call of the shim into functions that these call (compiler, link/passes/loops.py), and the shim
looks at the clock at every 1,024th (budget.c).

A *step* is a call of a Python function or a jump; each iteration of a loop has one. In Wasm, the interpreter's events
(`sys.monitoring`) are counted in C, see the shim's budget.c. Loops inside C code, such as `re`, take no steps. Without
a budget no events are requested, so there is no cost.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

from .._typing import Any
from ..errors import StepBudgetExceeded, TimeBudgetExceeded

_TOOL = 4
"""One of the six tool ids of `sys.monitoring`; most of the others are reserved by name for some purpose."""
_OWN = (_FILE := (lambda: 0).__code__.co_filename)[: _FILE.rindex(__name__.split(".")[-2])]
"""The folder of the SDK in the file names of its code objects."""


def nothing() -> None:
    """`renew` if there is no budget."""


renew: Callable[[], None] = nothing
"""Gives the running callback a full budget again, because reporting its failure takes steps too."""


def may_interrupt(code: CodeType) -> bool:
    """Whether a step of `code` may raise: the code that handles the failure must not fail itself."""
    return not code.co_filename.startswith(_OWN)


def start_time(milliseconds: int, shim: Any) -> None:
    """Limit the time of callbacks, in every VM that is created from the snapshot."""
    global renew
    renew = shim.renew_steps
    shim.set_time_budget(milliseconds * 1_000_000, TimeBudgetExceeded, _OWN)


def start(steps: int, shim: Any) -> None:
    """Start counting, in this VM and in every VM that is created from the snapshot."""
    global renew
    renew = shim.renew_steps
    shim.set_step_budget(steps, StepBudgetExceeded, may_interrupt)
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # new in Python 3.12; the guest has 3.14
    monitoring.use_tool_id(_TOOL, "pwasm")
    for event in (monitoring.events.PY_START, monitoring.events.JUMP):
        monitoring.register_callback(_TOOL, event, shim.count_step)
    monitoring.set_events(_TOOL, monitoring.events.PY_START | monitoring.events.JUMP)
