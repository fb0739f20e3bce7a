"""A Go filter through pwasm's commands, to a real Envoy: `build`, `inspect`, `run`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.paths import GO_REFERENCE

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

PWASM = [sys.executable, "-m", "pwasm_compiler.cli"]


def pwasm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PWASM, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_build_inspect_and_run(tmp_path: Path) -> None:
    folder = tmp_path / "go_reference"
    shutil.copytree(GO_REFERENCE, folder, ignore=shutil.ignore_patterns("main.wasm*"))

    built = pwasm(tmp_path, "build", "--backend", "go", "--json", "go_reference")
    assert built.returncode == 0, built.stderr
    summary = json.loads(built.stdout)
    assert (summary["backend"], summary["path"]) == ("go", str(folder / "main.wasm"))
    assert built.stderr == f"building with {summary['toolchain']}: --backend go\n"

    inspected = pwasm(folder, "inspect", "main.wasm")
    assert "would load it, since version 1.33" in inspected.stdout

    written = (folder / "main.wasm").stat().st_mtime_ns
    _serves(folder)
    assert (folder / "main.wasm").stat().st_mtime_ns == written
    (folder / "main.wasm").unlink()
    _serves(folder)
    assert (folder / "main.wasm").exists()


def _serves(folder: Path) -> None:
    """`pwasm run` answers with the filter's header, says so in the log, and ends well."""
    command = [*PWASM, "run", "--port", "0", "--admin-port", "0", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), process.communicate()
            with urllib.request.urlopen(f"{url}one", timeout=10) as response:
                assert response.headers["x-wasm-custom"] == "FOO"
            assert process.stdout.readline().endswith("info     go_reference: adding the header\n")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()
