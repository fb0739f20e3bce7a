"""The table of packages is made by its tool: it has every row of the list, and what the tool sees is what happens."""

from __future__ import annotations

import dataclasses
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

TOOL: dict[str, Any] = runpy.run_path(str(ROOT / "tools" / "try_packages.py"))
ROWS: tuple[Any, ...] = TOOL["read_list"]()
DOCUMENT: Path = TOOL["DOCUMENT"]
Outcome: Any = TOOL["Outcome"]
FOUND = re.compile(r"^\| `(?P<requirement>[^`]+)`[^|]* \|.*? \| (?P<result>works|\*\*refused\*\*|\*\*fails\*\*)", re.M)
SAMPLE = ("itsdangerous", "fastjsonschema", "python-slugify")
WARNINGS = [
    *(
        f"x.py:1 imports {name} when it runs, which will fail: ModuleNotFoundError: No module named '{name}'"
        for name in "bcb"
    ),
    "much data; the largest is x",
]
IN_ENVOY = "cachetools"


def row(name: str, **changes: Any) -> Any:
    (found,) = TOOL["chosen"](ROWS, [name])
    return dataclasses.replace(found, **changes)


def test_the_document_has_every_row_of_the_list() -> None:
    found = {match["requirement"]: match["result"] for match in FOUND.finditer(DOCUMENT.read_text(encoding="utf-8"))}
    assert list(found) == [row.requirement for row in ROWS], "run: python tools/try_packages.py --envoy --write"
    assert "**fails**" not in found.values()
    assert len(found) > 63
    assert list(found.values()).count("works") > 49


def test_what_is_refused_has_a_reason_and_a_way_out() -> None:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if " | **refused**" in line]
    assert len(lines) > 5
    assert [line for line in lines if not re.search(r"\*\*refused\*\*: \S.*\. Instead: \S", line)] == []


def test_the_envoy_rows_ran_in_envoy() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    there = {match[1] for match in re.finditer(r"^\| `([^`]+)`.*\| yes \|$", text, re.M)}
    assert there == {row.requirement for row in ROWS if row.envoy}
    assert len(there) > 19


def test_every_requirement_is_there_once() -> None:
    requirements = [row.requirement for row in ROWS]
    assert sorted(set(requirements)) == sorted(requirements)


@pytest.mark.wasm
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_works(name: str) -> None:
    seen = TOOL["attempt"](row(name))
    assert (seen.kind, seen.why, seen.missing) == ("works", "", [])
    assert any(version.startswith(f"{name}==") for version in seen.versions)
    assert 1 << 20 < seen.size < 32 << 20


@pytest.mark.envoy
def test_one_works_in_envoy() -> None:
    seen = TOOL["attempt"](row(IN_ENVOY), envoy=True)
    assert (seen.kind, seen.why, seen.envoy) == ("works", "", True)


@pytest.mark.wasm
def test_what_differs_from_cpython_and_what_raises_fail(make_wheel: Callable[..., Path]) -> None:
    make_wheel("whose", files={"whose.py": "import sys\nNAME = sys.platform\n"})
    own = row(SAMPLE[0], requirement="whose", top="import whose", call="found = whose.NAME", result=None)
    seen = TOOL["attempt"](own)
    assert (seen.kind, seen.why) == ("fails", "the module says 'wasi', not 'linux'")
    seen = TOOL["attempt"](dataclasses.replace(own, call="found = whose.NOTHING", result="x"))
    assert seen.kind == "fails"
    assert "AttributeError: module 'whose' has no attribute 'NOTHING'" in seen.why


@pytest.mark.wasm
def test_imports_that_only_cpython_has_are_noted(make_wheel: Callable[..., Path]) -> None:
    late = "import importlib\n\ndef ask(name):\n    try:\n        return importlib.import_module(name)\n"
    make_wheel("late", files={"late.py": f"{late}    except ImportError:\n        return None\n"})
    call = "found = late.ask('_'.join(['wave'][:1])), late.ask('_'.join(['no', 'where']))"
    seen = TOOL["attempt"](row(SAMPLE[0], requirement="late", top="import late", call=call, result="(None, None)"))
    assert (seen.kind, seen.missing) == ("works", ["wave"])


@pytest.mark.programs
def test_native_code_is_refused_with_reason_and_hint(make_wheel: Callable[..., Path]) -> None:
    make_wheel("orjson", tag="cp314-cp314-manylinux_2_17_x86_64")
    seen = TOOL["attempt"](row("orjson"))
    assert (seen.kind, seen.size) == ("refused", 0)
    assert "'orjson' has native code, which cannot run in the module" in seen.why
    assert "use json of the standard library" in seen.hint


def test_a_line_of_the_document() -> None:
    settings = {"sdist": ["ply"]}
    seen = Outcome("ply", "works", ["ply==3.11", "a-b==1"], size=3 << 20, warnings=WARNINGS, envoy=True)
    line = TOOL["_line"](row("ply", settings=settings, what="a|b", note="slow"), seen)
    note = 'works, note: needs `sdist = ["ply"]`; slow'
    assert line == f"| `ply` 3.11, with a-b 1 | a\\|b | {note} | 3.0 | not there when it runs: b, c; much data | yes |"
    refused = Outcome("ply", "refused", why="It has native code\nSo it is", hint="use re")
    assert TOOL["_line"](row("ply", instead=""), refused).split(" | ")[2] == (
        "**refused**: It has native code. Instead: use re."
    )


def test_unknown_names_end_the_command() -> None:
    with pytest.raises(SystemExit, match="no row of tools/packages is nowhere"):
        TOOL["main"](["nowhere"])


def test_names_are_of_distributions_or_requirements() -> None:
    assert [row.requirement for row in TOOL["chosen"](ROWS, ["pyjwt"])] == ["PyJWT", "PyJWT[crypto]"]
    assert [row.requirement for row in TOOL["chosen"](ROWS, ["PyJWT[crypto]"])] == ["PyJWT[crypto]"]
