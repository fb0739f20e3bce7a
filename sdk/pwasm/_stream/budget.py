"""The step budget: a callback that loops forever raises an exception instead of blocking the worker.

Envoy does not limit the CPU time of filters: an endless loop stops every connection of its worker. With a budget, each
callback may take a given number of steps; the next step raises `StepBudgetExceeded`, and so does every later one until
the callback ends, so that code that catches every exception cannot continue.

A step is a call of a Python function or a jump; each iteration of a loop has one. In Wasm, the interpreter's events
(`sys.monitoring`) are counted in C, see the shim's budget.c. Loops inside C code, such as `re`, take no steps. Without
a budget no events are requested, so there is no cost. Code of the SDK is counted but never interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

from .._typing import Any
from ..errors import StepBudgetExceeded

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
