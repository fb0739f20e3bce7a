"""Interrupt loops in CPython when the time budget is spent: a call of the shim in front of functions that they call.

A callback that loops in C blocks its worker, and no code of ours runs meanwhile: a regular expression that backtracks,
an enormous power, the sum of a huge range. CPython has a function that its own long loops call to hear of Ctrl-C
(`PyErr_CheckSignals`), one that the evaluation loop calls when something is pending, and iterators without an end that
others consume. These get a call of the shim's `pwasm_interrupt` in front (runtime-shim, budget.c), which raises when
the budget is spent; then the function returns what it returns for any exception. What stays uncovered is in
docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...component.graph import Item
from ...cpython314 import CALLED_IN_LOOPS, HANDLES_PENDING
from ...errors import LinkError
from ...wasm.leb128 import encode_signed, encode_unsigned
from ...wasm.module import FuncType, Kind
from ..layout import Layout
from .functions import places, shim_function
from .reachable import Reachable

INTERRUPT, PENDING = "pwasm_interrupt", "pwasm_pending"
"""Functions of the shim: for the functions that loops call, and for `_Py_HandlePending`."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """A call of `check` in front of a function, which returns `raises` if that has raised.

    None for `_Py_HandlePending`, whose check gets its argument and says whether there is anything to do.
    """

    check: Item
    raises: int | None


def find_interruptions(layout: Layout, kept: Reachable) -> dict[Item, Interruption]:
    """The functions of CPython that can be interrupted. Empty if no library of the component is CPython.

    Raises:
        LinkError: a function is missing or duplicated; then this is an unknown CPython.
    """
    for instance in layout.plan.graph.instances:
        found = places(instance.module)
        if not any(name in found for name in CALLED_IN_LOOPS):
            continue
        check, pending = called_by_interruptions(layout)
        wanted = {name: Interruption(check, raises) for name, raises in CALLED_IN_LOOPS.items()}
        wanted[HANDLES_PENDING] = Interruption(pending, None)
        interruptions = {}
        for name, interruption in wanted.items():
            if len(found.get(name, ())) != 1:
                raise LinkError(f"CPython has {len(found.get(name, ()))} functions {name}, not one")
            interruptions[Item(instance.number, Kind.FUNC, found[name][0])] = interruption
        return {item: one for item, one in interruptions.items() if item in kept.functions}
    return {}


_LOCAL_GET_0, _LOCAL_TEE_0, _I32_SUB, _I32_LE_U = b"\x20\x00", b"\x22\x00", b"\x6b", b"\x4d"
_ANSWERS = 2
"""RAISED and NOTHING_PENDING in budget.c."""
_CALL, _BLOCK, _IF, _BR, _END, _NO_RESULT, _I32_CONST = b"\x10", b"\x02", b"\x04", b"\x0c", b"\x0b", b"\x40", b"\x41"


def called_by_interruptions(layout: Layout) -> tuple[Item, ...]:
    """The functions that they call, which must be kept regardless of other callers; none without CPython."""
    shim = layout.plan.shim
    return tuple(shim_function(layout, name) for name in (INTERRUPT, PENDING)) if INTERRUPT in shim.exports else ()


def with_interruption(code: bytes, interruption: Interruption, check: int, signature: FuncType) -> bytes:
    """`code`, the instructions of a body, behind a call of function `check`.

    As in `stack.with_frame` it becomes a block, and `return` must already be a branch out of it.
    """
    call = _CALL + encode_unsigned(check)
    if interruption.raises is None:
        # The argument is replaced by the answer: 1 or 2 mean -1 or 0, anything else is the argument itself.
        begin = (
            _LOCAL_GET_0 + call + _LOCAL_TEE_0 + _I32_CONST + encode_signed(_ANSWERS) + _I32_LE_U + _IF + _NO_RESULT
            + _LOCAL_GET_0 + _I32_CONST + encode_signed(_ANSWERS) + _I32_SUB
        )  # fmt: skip
    else:
        begin = call + _IF + _NO_RESULT + _I32_CONST + encode_signed(interruption.raises)
    return _BLOCK + signature.results + begin + _BR + b"\x01" + _END + code + _END
