"""What of the SDK goes into every module."""

from __future__ import annotations

from pathlib import Path

from pwasm_compiler.build.stage import sdk_files


def test_neither_the_test_kit_nor_what_only_type_checkers_read() -> None:
    files = sdk_files()
    assert {name.parts[0] for name in files} & {"testing", "pytest_plugin.py", "__main__.py", "_protocols.py"} == set()
    assert Path("_guest", "vm.py") in files
