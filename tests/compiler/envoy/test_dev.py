"""`pwasm dev` with a real Envoy, as a user calls it: edits go live under load, and broken ones do not."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import wasmtime

from pwasm_compiler.envoy.dev import fingerprint, saved_seconds_ago
from tests.support.paths import ROOT

pytestmark = pytest.mark.envoy

HELLO_WORLD = ROOT / "filters" / "hello_world"
DEADLINE_SECONDS = 240
CONNECTIONS = 50
MODULE = """
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-version")
  (data (i32.const 32) "VERSION")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 9) (i32.const 32) (i32.const LENGTH)))
    i32.const 0))
"""

NOTHING = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0))
"""


class Dev:
    """The command, started; its lines are read as they come."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "pwasm_compiler.cli", "dev", "--port", "0", "--admin-port", "0", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True)
        self.lines: list[str] = []
        self._grew = threading.Condition()
        streams = (self.process.stdout, self.process.stderr)
        self._readers = [threading.Thread(target=self._read, args=(stream,)) for stream in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._grew:
                self.lines.append(line.rstrip("\n"))
                self._grew.notify_all()
        with self._grew:
            self._grew.notify_all()

    def url(self) -> str:
        """Where it serves."""
        return self.wait_for("http://127", at_the_start=True)

    def wait_for(self, text: str, *, at_the_start: bool = False) -> str:
        """The first line with `text` in it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._grew:
            while True:
                for line in self.lines:
                    if line.startswith(text) if at_the_start else text in line:
                        return line
                ended = self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers)
                assert not ended, self.lines
                assert time.monotonic() < deadline, self.lines
                self._grew.wait(1.0)

    def stop(self) -> int:
        """End it with Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # it ends its Envoy
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE_SECONDS)
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Callable[..., Dev]]:
    """`dev("main.wasm", …)`: the command in the test's own folder, on free ports."""
    started: list[Dev] = []

    def start(*arguments: str, at: Path = tmp_path) -> Dev:
        started.append(Dev(at, *arguments))
        return started[-1]

    yield start
    for item in started:
        item.close()


class Load:
    """Requests over `CONNECTIONS` connections that must stay open, until the block ends."""

    def __init__(self, url: str, header: str) -> None:
        self.versions: Counter[str | None] = Counter()
        self.failures: list[str] = []
        self._address, self._header = url.removeprefix("http://").rstrip("/"), header
        self._grew, self._stop = threading.Condition(), threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=DEADLINE_SECONDS)
        with contextlib.closing(connection):
            while not self._stop.wait(0.1):
                try:
                    connection.request("GET", "/")
                    response = connection.getresponse()
                    response.read()
                    version = response.headers[self._header]
                    problem = "" if response.status == 200 else f"status {response.status}"
                    problem = problem or ("" if connection.sock else "the connection was closed")
                except (OSError, http.client.HTTPException) as error:
                    problem, version = repr(error), None
                with self._grew:
                    self.failures += [problem] if problem else []
                    self.versions[version] += 1
                    self._grew.notify_all()
                if problem:
                    return

    def wait_for(self, version: str, count: int = CONNECTIONS) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._grew:
            while self.versions[version] < count and not self.failures:
                assert self._grew.wait(deadline - time.monotonic()), self.versions
        assert self.failures == []


def module(version: str) -> bytes:
    text = MODULE.replace("VERSION", version).replace("LENGTH", str(len(version)))
    return bytes(wasmtime.wat2wasm(text))


def replace(file: Path, data: bytes) -> None:
    scratch = file.with_name(".scratch")
    scratch.write_bytes(data)
    scratch.replace(file)


def test_modules_are_exchanged_under_load(dev: Callable[..., Dev], tmp_path: Path) -> None:
    """Several versions, one that Envoy refuses, then another; 50 connections notice nothing but the new answers."""
    file = tmp_path / "main.wasm"
    file.write_bytes(module("one"))
    running = dev("main.wasm", "--concurrency", "2")
    url = running.url()
    with Load(url, "x-version") as load:
        load.wait_for("one")
        for number, version in enumerate(("two", "three"), 2):
            replace(file, module(version))
            running.wait_for(f"live: version {number}")
            load.wait_for(version)
        replace(file, b"\0asm\1\0\0\0")
        running.wait_for("the last good version is still serving")
        answered = load.versions["three"]
        load.wait_for("three", answered + CONNECTIONS)
        replace(file, module("five"))
        running.wait_for("live: version 5")
        load.wait_for("five")
    assert load.failures == []
    assert set(load.versions) == {"one", "two", "three", "five"}
    assert any("Envoy rejected the new version" in line for line in running.lines)
    assert running.stop() == 0


@pytest.mark.wasm
def test_a_filter_is_edited(dev: Callable[..., Dev], built: Callable[[str], Path], tmp_path: Path) -> None:
    """With the filter's own envoy.yaml: an edit goes live, a broken one shows its error, the next one is taken."""
    shutil.copytree(HELLO_WORLD, tmp_path / "hello", ignore=shutil.ignore_patterns("__pycache__", "*.wasm*"))
    shutil.copyfile(built("../../filters/hello_world"), tmp_path / "hello" / "main.wasm")  # newer: not built again
    source = tmp_path / "hello" / "filter.py"
    text = source.read_text(encoding="utf-8")
    assert text.count('"FOO"') == 1
    running = dev("hello")
    url = running.url()
    with Load(url, "x-wasm-custom") as load:
        load.wait_for("FOO")
        source.write_text(text.replace('"FOO"', '"BAR"') + "\nimport no_such_module\n", encoding="utf-8")
        running.wait_for("the last good version is still serving")
        assert any("no_such_module" in line for line in running.lines)
        source.write_text(text.replace('"FOO"', '"BAR"'), encoding="utf-8")
        said = running.wait_for("live: version 2")
        after, building, loading = (float(number) for number in re.findall(r"([\d.]+) s\b", said))
        assert building + loading <= after + 0.2, "each is rounded"
        load.wait_for("BAR")
    assert (load.failures, set(load.versions)) == ([], {"FOO", "BAR"})
    assert running.stop() == 0
    assert not list(tmp_path.glob("**/.main.wasm*")), "nothing half-written stays"


def test_how_long_ago_a_file_was_saved(tmp_path: Path) -> None:
    """Of the files that changed; a time that is old, or to come, is not that of the edit."""
    file, now = tmp_path / "main.wasm", time.time()
    file.write_bytes(b"")
    before = fingerprint(file)
    for saved, expected in ((now - 5, 5), (now - 3600, 0), (now + 60, 0)):
        os.utime(file, (saved, saved))
        found = saved_seconds_ago(before, fingerprint(file))
        assert expected <= found <= 60 * bool(expected)
    assert saved_seconds_ago(before, before) == 0
    assert saved_seconds_ago(before, "it is broken") == 0


def test_a_new_version_may_use_more(dev: Callable[..., Dev], tmp_path: Path) -> None:
    """The generated configuration restricts a filter to what its module uses, updated for each version."""
    file = tmp_path / "main.wasm"
    file.write_bytes(wasmtime.wat2wasm(NOTHING))
    running = dev("main.wasm")
    url = running.url()
    replace(file, module("two"))
    running.wait_for("live: version 2")
    with Load(url, "x-version") as load:
        load.wait_for("two")
    assert load.failures == []
    assert running.stop() == 0


def test_a_configuration_without_the_filter(dev: Callable[..., Dev], tmp_path: Path) -> None:
    (tmp_path / "main.wasm").write_bytes(module("one"))
    address = "address: { socket_address: { address: 127.0.0.1, port_value: 0 } }"
    text = f"admin: {{ {address} }}\nstatic_resources: {{ listeners: [ {{ {address} }} ] }}\n"
    (tmp_path / "other.yaml").write_text(text)
    running = dev("main.wasm", "-c", "other.yaml")
    running.wait_for("no filter in the configuration loads main.wasm")
    assert running.process.wait(DEADLINE_SECONDS) == 1


REFUSES = r"""
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "the plugin's configuration is refused\n  | $.a: is missing")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $log (i32.const 5) (i32.const 16) (i32.const 57)))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0))
"""


def test_a_first_version_that_is_refused_is_said(dev: Callable[..., Dev], tmp_path: Path) -> None:
    file = tmp_path / "main.wasm"
    file.write_bytes(wasmtime.wat2wasm(REFUSES))
    running = dev("main.wasm")
    running.url()
    running.wait_for("no version is serving yet")
    said = running.lines[running.lines.index("error: the filter rejected its configuration") :]
    assert said[1:4] == ["$.a: is missing", "", "hint: provide one with --plugin-config FILE"]
    replace(file, module("two"))
    running.wait_for("live: version 2")
    replace(file, b"\0asm\1\0\0\0")
    running.wait_for("the last good version is still serving")
    assert running.stop() == 0


@pytest.mark.parametrize("named", [True, False], ids=["by its name", "as the current folder"])
def test_a_folder_that_moves_away_is_said(
    dev: Callable[..., Dev], built: Callable[[str], Path], tmp_path: Path, named: bool
) -> None:
    """Reported once, while the filter keeps serving; when the folder is back, edits are picked up again."""
    folder, away = tmp_path / "hello", tmp_path / "away"
    folder.mkdir()
    shutil.copyfile(HELLO_WORLD / "filter.py", folder / "filter.py")
    shutil.copyfile(built("../../filters/hello_world"), folder / "main.wasm")  # newer: not built again
    running = dev("hello") if named else dev(at=folder)
    url = running.url()
    folder.rename(away)
    running.wait_for("the last good version is still serving")
    error = f"error: {folder} no longer exists"
    said = running.lines[running.lines.index(error) :]
    assert said[1:4] == [
        "It was moved or removed, so edits go unnoticed.",
        "",
        "hint: restore it, or restart pwasm dev in its new location",
    ]
    with Load(url, "x-wasm-custom") as load:
        load.wait_for("FOO")
        assert running.lines.count(error) == 1
        away.rename(folder)
        source = folder / "filter.py"
        source.write_text(source.read_text(encoding="utf-8").replace('"FOO"', '"BAR"'), encoding="utf-8")
        load.wait_for("BAR")
    assert load.failures == []
    assert running.stop() == 0
