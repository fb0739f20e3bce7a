"""The cases about bodies beside other filters, before and after them in the list: docs/abi.md §6.

Each exchange is ordered, in Envoy too: headers, pieces and the end come one after another when everything rests. The
neighbours go on at once, or when the whole message has been sent ("late"). Then what the case's filter waits for comes:
in place of its ticks, which would come at any time, it calls out, and the test answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pwasm.testing import ExtAuthz, LuaCall

from ..case import Case
from ..ops import ON_TICK, WANTED, http_call, tick
from . import bodies, resumes

CLUSTER = "gate"
AUTHORIZER = "authorizer"
"""The cluster that speaks gRPC."""
PAUSING = "pausing"
"""The project that is the other Wasm filter."""
NEIGHBOURS: Mapping[str, Any] = {
    "authz": ExtAuthz(CLUSTER),
    "grpc-authz": ExtAuthz(AUTHORIZER, grpc=True),
    "lua": LuaCall(CLUSTER, response=True),
    "wasm": PAUSING,
}
SIDES = ("before", "after")
LISTENERS = {
    f"{kind}-{name}-{side}": (kind, name, side)
    for kind in ("plain", "limited", "flag")
    for name in NEIGHBOURS
    for side in SIDES
}
"""Listener → that of the case itself, the neighbour and its side."""
BODIES = [*bodies.CASES, *(case for case in resumes.CASES if case.id.startswith("60-"))]


def _beside(case: Case, listener: str, *, late: bool) -> Case:
    """The case with a neighbour."""
    name = f"{case.id}@{listener.removeprefix(f'{case.listener}-')}{'-late' if late else ''}"
    script = {
        _part(part): [_operation(one, name) for one in ops if one != tick(0)] for part, ops in case.script.items()
    }
    return replace(case, id=name, script=script, listener=listener, late=late, ticks=0, abort_after="", ignore=())


def _part(part: str) -> str:
    callback, number, which = part.partition("#")
    return ("http_call_response" if callback == "tick" else callback) + number + which


def _operation(operation: Sequence[Any], name: str) -> Sequence[Any]:
    """A callout in place of a tick; its path says whose it is."""
    if operation == ON_TICK or operation == http_call():
        return http_call(headers=[(key, f"/{name}" if key == ":path" else value) for key, value in WANTED])
    return operation


BESIDE: dict[str, tuple[Case, Case]] = {
    beside.id: (case, beside)
    for case in BODIES
    for listener, (kind, _, _) in LISTENERS.items()
    if kind == case.listener
    for late in (False, True)
    for beside in (_beside(case, listener, late=late),)
}
"""Name → the case, and the same in a chain."""
