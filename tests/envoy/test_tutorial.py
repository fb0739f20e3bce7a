"""The tutorial of docs/, step by step, in a real Envoy; the ports are the only change."""

from __future__ import annotations

import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.envoy


def command(text: str) -> list[str]:
    """A `pwasm` command that the tutorial names, as arguments for this Python."""
    assert f"$ {text}\n" in TUTORIAL, f"the tutorial does not say: {text}"
    program, *words = text.split()
    assert program == "pwasm"
    return [sys.executable, "-c", "from pwasm_compiler.cli import main; main()", *words]


def file_block(name: str) -> str:
    found = re.search(rf"<!-- tutorial: {name} -->\n```python\n(.*?)```", TUTORIAL, re.DOTALL)
    assert found is not None
    return found[1]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The test's output is not the place for an access log."""


@contextmanager
def upstream(folder: Path, name: str, text: str) -> Iterator[int]:
    folder.mkdir()
    (folder / name).write_text(text)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_tutorial(tmp_path: Path) -> None:
    with (
        upstream(tmp_path / "upstream_1", "one", "Hello from instance 1\n") as first,
        upstream(tmp_path / "upstream_2", "two", "Hello from instance 2\n") as second,
    ):
        configuration = (ROOT / "filters" / "hello_world" / "envoy-config.yaml").read_text(encoding="utf-8")
        for was, now in ((5050, first), (5051, second), (10000, 0), (9901, 0)):
            assert f"port_value: {was} " in configuration
            configuration = configuration.replace(f"port_value: {was} ", f"port_value: {now} ")
        (tmp_path / "envoy-config.yaml").write_text(configuration)

        refused = subprocess.run(
            command("pwasm run --no-build -c envoy-config.yaml"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert refused.returncode == 1
        assert "Invalid path: main.wasm" in refused.stderr

        (tmp_path / "filter.py").write_text(file_block("filter.py"))
        subprocess.run(command("pwasm build"), cwd=tmp_path, check=True, capture_output=True)
        assert (tmp_path / "main.wasm").is_file()
        _serves(tmp_path)


def _serves(folder: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command("pwasm run -c envoy-config.yaml"),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            url = _printed_url(process)
            with urllib.request.urlopen(f"{url}one", timeout=10) as response:
                assert response.headers["x-wasm-custom"] == "FOO"
                assert response.read() == b"Hello from instance 1\n"
            with urllib.request.urlopen(f"{url}two", timeout=10) as response:
                assert response.read() == b"Hello from instance 2\n"
            process.send_signal(signal.SIGINT)
            assert "adding the header" in process.communicate(timeout=30)[0]
        finally:
            process.kill()


def _printed_url(process: subprocess.Popen[str], timeout: float = 60) -> str:
    deadline = time.monotonic() + timeout
    assert process.stdout is not None
    seen = ""
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        seen += line
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        if found:
            return found[0]
        assert process.poll() is None, seen
    raise AssertionError(f"no URL was printed: {seen}")
