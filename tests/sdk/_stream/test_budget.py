"""Edge cases of the step budget in plain Python; tests/sdk/testing/worlds/test_step_budget.py has the rest."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import pwasm
from pwasm import HttpContext
from pwasm._stream import budget
from pwasm.entrypoint import clear_registration, registration
from pwasm.errors import RegistrationError
from pwasm.testing import HostEmulator


class Loop(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        while True:
            pass


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (-1, ValueError), (1 << 63, ValueError)])
def test_a_budget_is_a_positive_number(steps: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"not {steps}"):
        pwasm.set_step_budget(steps)


@pytest.mark.parametrize("steps", [True, 1.5, "1000", None])
def test_a_budget_is_an_int(steps: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(steps).__name__}"):
        pwasm.set_step_budget(steps)


def test_a_budget_alone_registers_nothing() -> None:
    pwasm.set_step_budget(1000)
    try:
        with pytest.raises(RegistrationError, match="no filter class"):
            registration()
        with pytest.raises(RegistrationError, match="no filter class"):
            HostEmulator()
    finally:
        clear_registration()


def test_what_traced_before_traces_again_and_nothing_stays_behind() -> None:
    def trace(*_: object) -> None:
        return None

    pwasm.set_http_context(Loop)
    pwasm.set_step_budget(1000)
    before = sys.gettrace()
    try:
        host = HostEmulator()
        sys.settrace(trace)
        status = host.request("GET", "/").status
        after = sys.gettrace()
    finally:
        sys.settrace(before)
        clear_registration()
    assert (status, after, budget.renew) == (500, trace, budget.nothing)


def test_without_a_budget_nothing_is_traced() -> None:
    found: list[object] = []

    class Looks(HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            found.append(sys.gettrace())

    before = sys.gettrace()
    HostEmulator(Looks).request("GET", "/")
    assert found == [before]
