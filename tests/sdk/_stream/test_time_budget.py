"""The time budget as it is declared; tests/envoy/test_time_budget.py and tests/wasm have what it does."""

from __future__ import annotations

from typing import Any

import pytest

import pwasm
from pwasm._stream.registration import DEFAULT_TIME_BUDGET, Registration
from pwasm.entrypoint import clear_registration, registration


@pytest.mark.parametrize(
    ("milliseconds", "error"), [(-1, ValueError), (3_600_001, ValueError), (True, TypeError), (1.5, TypeError)]
)
def test_a_budget_is_a_number_of_milliseconds(milliseconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="milliseconds must be"):
        pwasm.set_time_budget(milliseconds)


def test_it_is_on_unless_it_is_switched_off() -> None:
    assert Registration().time_budget == DEFAULT_TIME_BUDGET == 2000
    try:
        pwasm.set_http_context(pwasm.HttpContext)
        pwasm.set_time_budget(0)
        assert registration().time_budget == 0
    finally:
        clear_registration()
