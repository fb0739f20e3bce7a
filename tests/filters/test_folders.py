"""Each filter is a complete folder, and in the table of filters/README.md with the hostcalls that its tests make."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import FILTERS, ROOT

NAMES = sorted(file.parent.name for file in FILTERS.glob("*/filter.py"))
MOST_LINES = 120

_ROW = re.compile(r"^\| \[`(?P<name>\w+)`\]\((?P=name)\) \| (?P<shows>.+) \| (?P<calls>.*) \|$", re.MULTILINE)
# Made by the SDK, not by the filter: whether a log line would be shown, and an answer's way back to its stream.
_OF_THE_SDK = {"proxy_get_log_level"}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_complete(name: str) -> None:
    folder = FILTERS / name
    for file in ("test_filter.py", "envoy.yaml", "pyproject.toml", "README.md"):
        assert (folder / file).is_file(), f"{name} has no {file}"
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    for command in (f"$ pwasm run filters/{name}\n", f"`pwasm test filters/{name}`"):
        assert command in text
    assert f'name = "{name}"' in (folder / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_is_short_and_says_what_it_does(name: str) -> None:
    text = (FILTERS / name / "filter.py").read_text(encoding="utf-8")
    assert text.startswith(f'"""{name}: ')
    assert len(text.splitlines()) <= MOST_LINES


@pytest.mark.programs
def test_the_table(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The last column lists the hostcalls that the filters' tests make; --bless writes it."""
    file = FILTERS / "README.md"
    text = file.read_text(encoding="utf-8")
    assert [row["name"] for row in _ROW.finditer(text)] == NAMES
    calls = _calls(tmp_path / "calls.json")
    expected = _ROW.sub(
        lambda row: f"| [`{row['name']}`]({row['name']}) | {row['shows']} | {calls[row['name']]} |", text
    )
    if request.config.getoption("--bless"):
        file.write_text(expected, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == expected, "if the new hostcalls are wanted, use --bless"


def _calls(file: Path) -> dict[str, str]:
    """The last column by filter. The tests run in a separate process, which records the hostcalls."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.hostcalls_made"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, f"--hostcalls={file}", "--pwasm-tier=python", "-p", "no:cacheprovider", "filters"],
        cwd=FILTERS.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    made: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: ", ".join(f"`{call.removeprefix('proxy_')}`" for call in made.get(name, []) if call not in _OF_THE_SDK)
        for name in NAMES
    }
