"""The SDK and the compiler agree on the fields of their shared data: the build record, the ABI table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.build.abi_table import abi_table, read_table
from pwasm_compiler.errors import BuildError, ToolError
from pwasm_compiler.guest.record import BuildRecord, parse_record, printed_meanwhile

RECORD: dict[str, Any] = {
    "sdk": "1",
    "python": "3.14.0",
    "warnings": [],
    "modules": ["filter"],
    "callbacks": ("proxy_on_log",),
    "written": {"Log": ["on_log"], "make": None},
    "hold_headers": {},
}


def test_a_record_with_all_its_fields() -> None:
    assert parse_record(repr(RECORD), BuildRecord) == BuildRecord(**RECORD)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({**RECORD, "extra": 1}, "unknown fields: extra"),
        ({name: value for name, value in RECORD.items() if name != "written"}, "Missing fields: written;"),
        ({}, "Missing fields: callbacks, hold_headers, modules, python, sdk, warnings, written;"),
        ({"failure": ("import", {"exception": "ValueError", "module": ""})}, "Missing fields: traceback;"),
        ({"failure": ("registration", {"message": "", "hint": ""})}, "unknown fields: hint"),
        ({"failure": ("accident", {})}, "'accident'"),
    ],
)
def test_a_record_of_another_version_is_refused(record: dict[str, Any], why: str) -> None:
    with pytest.raises(BuildError, match="incompatible with this compiler") as caught:
        parse_record(repr(record), BuildRecord)
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (("registration", {"message": "nothing\nhint: register"}), "nothing\nhint: register"),
        (("include", {"module": "x.y", "message": "No x"}), "cannot import module 'x.y' from [tool.pwasm] include"),
        (
            ("import", {"exception": "ModuleNotFoundError", "module": "ssl", "traceback": "Traceback"}),
            "the filter imports 'ssl', which is not available\nTraceback\n(printed during import)\nnoise\n"
            "hint: ssl does not exist in a Wasm module: Envoy terminates TLS",
        ),
        (
            ("import", {"exception": "ModuleNotFoundError", "module": "cgi", "traceback": ""}),
            "the filter imports 'cgi', which is not available\n\n(printed during import)\nnoise\n"
            "hint: Python 3.13 has removed cgi, and a module has 3.14; PyPI may have it as standard-cgi",
        ),
        (
            ("import", {"exception": "ModuleNotFoundError", "module": "test_mode", "traceback": ""}),
            "the filter imports 'test_mode', which is not available\n\n(printed during import)\nnoise\n"
            "hint: files with names like test_mode are taken for tests and left out",
        ),
        (
            ("import", {"exception": "ImportError", "module": "", "traceback": "attempted relative import beyond"}),
            "cannot import the filter\nattempted relative import beyond\n(printed during import)\nnoise\n"
            "hint: filter.py and the modules beside it are in no package",
        ),
        (
            ("import", {"exception": "RecursionError", "module": "", "traceback": "overflow during compilation"}),
            "cannot import the filter\noverflow during compilation\n(printed during import)\nnoise\n"
            "hint: a source, filter.py unless another is named, has an expression",
        ),
        (
            ("import", {"exception": "ValueError", "module": "", "traceback": "Traceback"}),
            "cannot import the filter\nTraceback\n(printed during import)\nnoise",
        ),
    ],
)
def test_a_failure_is_an_error(failure: tuple[str, dict[str, str]], error: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_record(repr({"failure": failure}), BuildRecord, "noise\n")
    assert str(caught.value).startswith(error)


def test_of_what_was_printed_the_end_is_shown() -> None:
    shown = printed_meanwhile("\n".join(f"line {number}" for number in range(1, 2001))).splitlines()
    assert shown[1:3] == ["(printed during import, 1,960 lines before these)", "line 1961"]
    assert shown[-1] == "line 2000"
    assert printed_meanwhile(" \n") == ""


def test_the_abi_table_has_the_sdks_rows() -> None:
    assert {"proxy_log", "proxy_http_call"} <= {row.name for row in abi_table().hostcalls}
    assert "proxy_on_request_headers" in {row.name for row in abi_table().callbacks}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "The file does not exist."),
        ("CALLBACKS = ()", "It does not define HOSTCALLS."),
        ("HOSTCALLS = CALLBACKS = ()", "It does not define HOSTCALLS."),
        ("HOSTCALLS = ('proxy_log',)", "Rows of HOSTCALLS have no name or no core type."),
    ],
)
def test_what_is_no_abi_table_is_refused(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "_abi.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ToolError, match="cannot read the SDK's ABI table") as caught:
        read_table(file)
    assert caught.value.why == why
