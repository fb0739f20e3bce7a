"""The parts of a go.mod that are read: the module's name and the SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.gomod import OFFICIAL_PATH, TETRATELABS_PATH, Sdk, read_go_mod


def read(folder: Path, text: str) -> tuple[str, Sdk]:
    (folder / "go.mod").write_text(text, encoding="utf-8")
    found = read_go_mod(folder / "go.mod")
    return found.name, found.sdk


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("module wasm-extension", "wasm-extension"),
        ("module example.org/a/b // mine", "b"),
        ("module example.org/a/b/v3", "b"),
        ('module "example.org/quoted"', "quoted"),
        ("module ( \n example.org/block\n)", "block"),
        ("", ""),
        ("module", ""),
    ],
)
def test_name(tmp_path: Path, line: str, name: str) -> None:
    assert read(tmp_path, f"{line}\n\ngo 1.24\n")[0] == name


FORK = "example.org/fork"


@pytest.mark.parametrize(
    ("text", "sdk"),
    [
        (f"require {OFFICIAL_PATH} v0.0.0", Sdk.OFFICIAL),
        (f"require (\n\texample.org/x v1.0.0 // indirect\n\t{OFFICIAL_PATH} v0.0.0\n)", Sdk.OFFICIAL),
        (f"require(\n\t{OFFICIAL_PATH} v0.0.0\n)", Sdk.OFFICIAL),
        (f"require {TETRATELABS_PATH} v0.17.0", Sdk.TETRATELABS),
        (f"require `{TETRATELABS_PATH}` v0.17.0 // indirect", Sdk.TETRATELABS),
        # in the middle of a migration
        (f"require (\n{TETRATELABS_PATH} v0.17.0\n{OFFICIAL_PATH} v0.0.0\n)", Sdk.OFFICIAL),
        ("require example.org/x v1.0.0", Sdk.UNKNOWN),
        (f"// require {OFFICIAL_PATH} v0.0.0", Sdk.UNKNOWN),
        (f"exclude {OFFICIAL_PATH} v0.0.0", Sdk.UNKNOWN),
        (f"require {TETRATELABS_PATH} v0.17.0\nreplace {TETRATELABS_PATH} => {FORK} v1", Sdk.UNKNOWN),
        (f"require {TETRATELABS_PATH} v0.17.0\nreplace (\n{TETRATELABS_PATH} v0.17.0 => {FORK} v1\n)", Sdk.UNKNOWN),
        (f"require {TETRATELABS_PATH} v0.17.0\nreplace {TETRATELABS_PATH} => ../mine", Sdk.TETRATELABS),
        (f"replace {TETRATELABS_PATH} =>\nrequire", Sdk.UNKNOWN),
        ("require (", Sdk.UNKNOWN),
        ("", Sdk.UNKNOWN),
    ],
)
def test_sdk(tmp_path: Path, text: str, sdk: Sdk) -> None:
    assert read(tmp_path, f"module m\n\ngo 1.24\n\n{text}\n")[1] is sdk


def test_what_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "go.mod"
    file.write_bytes(b"module m\n\xff")
    with pytest.raises(ProjectError, match="is not UTF-8"):
        read_go_mod(file)
    with pytest.raises(ProjectError, match="cannot read"):
        read_go_mod(tmp_path)
