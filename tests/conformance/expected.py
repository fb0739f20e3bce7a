"""What a real Envoy did with each case: tests/golden/conformance.json, written with --bless."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .observe import Outcome

FILE = Path(__file__).parents[1] / "golden" / "conformance.json"
CHAINS = FILE.with_name("chains.json")
"""The same for `test_chains.py`."""
_WIDTH = 120

EXCLUDED: dict[str, str] = {
    "78-control-in-a-value": "refused at once when a connection is ready, by an answer with 503 when it must be opened",
}
"""Case → why not all three hosts agree on it. At most ten."""

_MODULES = "tests/conformance/test_modules.py"
_FAILURES = "tests/sdk/testing/worlds/test_failures.py"
_PYTHON = ("tests/wasm/test_guest_python.py", "tests/envoy/test_guest_python.py")

ELSEWHERE: dict[str, tuple[int, ...]] = {
    f"{_MODULES}::test_a_module_that_the_emulator_refuses": (1, 2, 3, 4),
    f"{_MODULES}::test_envoy_refuses_it_too": (1, 2, 3, 4),
    f"{_MODULES}::test_a_restricted_malloc_in_the_emulator": (6,),
    f"{_MODULES}::test_a_restricted_malloc_in_envoy": (6,),
    f"{_MODULES}::test_one_vm_in_the_emulator": (5, 8, 18, 19, 20, 21),
    f"{_MODULES}::test_the_same_in_four_vms_of_envoy": (5, 8, 13, 18, 19, 20, 21),
    "tests/sdk/_dispatch/test_dispatch.py::test_no_configuration_is_empty": (8,),
    f"{_MODULES}::test_no_memory_in_the_emulator": (7,),
    f"{_MODULES}::test_no_memory_in_envoy": (7,),
    f"{_MODULES}::test_a_plugin_that_is_not_configured_in_the_emulator": (9,),
    f"{_MODULES}::test_a_plugin_that_is_not_configured_is_rejected_even_if_failures_are_open": (9,),
    "tests/sdk/_stream/test_policy.py::test_start_fails": (9,),
    "tests/envoy/test_filters.py::test_raising_at_start_is_rejected_with_a_readable_log": (9,),
    "tests/sdk/_dispatch/test_dispatch.py::test_several_plugins_share_one_vm": (12,),
    f"{_MODULES}::test_two_plugins_share_one_vm": (12,),
    f"{_PYTHON[0]}::test_works": (14, 18, 19),
    f"{_PYTHON[1]}::test_works": (14, 18, 19),
    f"{_PYTHON[0]}::test_fails_with_one_record_and_the_vm_lives": (20, 21, 22, 120),
    f"{_PYTHON[1]}::test_fails_with_one_record_and_the_vm_lives": (20, 21, 22, 120),
    "tests/sdk/_hostcalls/test_shared.py::test_shared_data_with_cas": (91,),
    "tests/envoy/test_plugins.py::test_no_update_is_lost_between_workers": (91,),
    f"{_MODULES}::test_ids_in_the_emulator": (108,),
    f"{_MODULES}::test_ids_in_envoy": (108,),
    "tests/shim/test_streams.py::test_streams_leave_the_memory_as_it_was": (108,),
    "tests/sdk/_async/test_aio.py::test_a_hundred_thousand_streams_leave_nothing": (108,),
    "tests/sdk/_dispatch/test_dispatch.py::test_unknown_contexts_are_ignored": (112,),
    "tests/sdk/_dispatch/test_dispatch.py::test_callbacks_after_the_end_are_ignored": (112,),
    f"{_MODULES}::test_a_trap_in_the_emulator_is_an_error": (119,),
    f"{_MODULES}::test_a_trap_when_nothing_is_reloaded": (119,),
    f"{_MODULES}::test_a_trap_and_a_reload": (119,),
    f"{_MODULES}::test_a_trap_in_on_log": (119,),
    "tests/sdk/testing/test_deadline.py::test_a_filter_in_python_that_hangs": (121,),
    "tests/sdk/testing/test_deadline.py::test_a_module_that_hangs": (121,),
    f"{_FAILURES}::test_a_filter_that_hangs_in_envoy_is_named_and_the_next_test_has_another_envoy": (121,),
    "tests/sdk/_async/test_aio.py::test_a_client_that_leaves": (122,),
    "tests/envoy/test_aio.py::test_a_client_that_leaves": (122,),
}
"""Test → cases of docs/abi.md §5 that no exchange of the table can show: modules that do not load or trap, several
VMs, what only Python in Wasm does, time limits, awaits. With the cases of the table they are all 122 numbers."""


def load(file: Path = FILE) -> dict[str, Outcome]:
    """Every case's outcome."""
    if not file.exists():
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    return {name: Outcome.of_json(outcome) for name, outcome in found.items()}


def save(outcomes: Mapping[str, Outcome], file: Path = FILE) -> None:
    """Write the outcomes."""
    write(file, {name: outcome.as_json() for name, outcome in outcomes.items()})


def write(file: Path, value: Any) -> None:
    """Write a golden file."""
    file.write_text(f"{_text(value)}\n", encoding="utf-8")


def _text(value: Any, margin: str = "") -> str:
    """As JSON: in one line what has room in one, so that a difference is a line and not a case."""
    line = json.dumps(value, ensure_ascii=False)
    if len(margin + line) <= _WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    inner = f"{margin} "
    if isinstance(value, list):
        parts, (begin, end) = [_text(item, inner) for item in value], "[]"
    else:
        parts, (begin, end) = [f"{json.dumps(key)}: {_text(item, inner)}" for key, item in value.items()], "{}"
    separator = f",\n{inner}"
    return f"{begin}\n{inner}{separator.join(parts)}\n{margin}{end}"
