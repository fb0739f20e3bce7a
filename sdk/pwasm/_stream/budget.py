"""The step budget: a callback that goes round in a loop for ever raises instead of holding the worker.

Envoy limits no filter's CPU time: an endless loop stops every connection of its worker. With a budget each callback
may take so many steps; the next one raises `StepBudgetExceeded`, and so does every one after it until the callback
ends, so that code which catches everything cannot go on.

A step is a call of a Python function or a jump; each round of a loop has one. In Wasm the interpreter's own events
(`sys.monitoring`) are counted in C, see the shim's budget.c. What loops inside C, such as `re`, takes no steps.
Without a budget no event is asked for, so nothing is paid. Code of the SDK is counted but never interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

from .._typing import Any
from ..errors import StepBudgetExceeded

_TOOL = 4
"""One of the six ids of `sys.monitoring`; the others have names that say what for."""
_OWN = (_FILE := (lambda: 0).__code__.co_filename)[: _FILE.rindex(__name__.split(".")[-2])]
"""The folder of the SDK, as its code objects name it."""


def nothing() -> None:
    """Stands for `renew` where there is no budget."""


renew: Callable[[], None] = nothing
"""Gives the running callback a full budget again: what reports its failure needs steps, too."""


def may_interrupt(code: CodeType) -> bool:
    """Whether a step of `code` may raise: what handles the failure must not fail itself."""
    return not code.co_filename.startswith(_OWN)


def start(steps: int, shim: Any) -> None:
    """Count from now on, and in every VM that is made of the snapshot."""
    global renew
    renew = shim.renew_steps
    shim.set_step_budget(steps, StepBudgetExceeded, may_interrupt)
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # of Python 3.12; Wasm has 3.14
    monitoring.use_tool_id(_TOOL, "pwasm")
    for event in (monitoring.events.PY_START, monitoring.events.JUMP):
        monitoring.register_callback(_TOOL, event, shim.count_step)
    monitoring.set_events(_TOOL, monitoring.events.PY_START | monitoring.events.JUMP)
