"""The README's examples are code that runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pwasm.testing import HostEmulator
from pwasm_compiler.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_filter_passes_the_readmes_own_test(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(PYTHON[0], encoding="utf-8")
    (tmp_path / "test_filter.py").write_text(PYTHON[1], encoding="utf-8")
    (tmp_path / "pytest.ini").touch()
    plugins = ["-p", "no:cacheprovider", "-p", "no:pwasm", "-p", "pwasm.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(r"^\d+ passed in", ran.stdout, re.MULTILINE), ran.stdout


def test_the_example_of_the_api() -> None:
    names: dict[str, Any] = {}
    exec("import pwasm\nfrom pwasm import Action, HttpContext\n" + PYTHON[2], names)
    host = HostEmulator(names["Check"])
    assert host.request().status == 401
    waiting = host.request(headers=[("x-api-key", "k"), ("x-internal", "1")])
    assert waiting.paused == "request"
    host.answer(host.http_calls[0], [(":status", "200")])
    assert waiting.status == 200
    assert "x-internal" not in waiting.request_headers
    refused = host.request(headers=[("x-api-key", "k")])
    host.answer(host.http_calls[-1], [(":status", "404")])
    assert refused.status == 403


def test_every_command_of_the_table_exists() -> None:
    named = set(re.findall(r"^\| `pwasm (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_file_the_readme_names_exists() -> None:
    for path in re.findall(r"`((?:filters|tests|sdk|compiler|runtime-shim)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\$ make (\w+)", README):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target
