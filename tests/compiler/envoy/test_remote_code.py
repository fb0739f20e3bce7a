"""Code that a real Envoy fetches: what `pwasm status` and `--log` say when that fails, and that Envoy tries again."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pwasm_compiler.envoy.log_hints import explanation_of
from pwasm_compiler.envoy.process import Envoy
from tests.support.command_line import Pwasm
from tests.support.small_modules import http_module
from tests.support.wire import eventually, request

QUICK = {"num_retries": 1, "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.020s"}}
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


def ok(body: bytes, size: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(body) if size is None else size) + body


class Server:
    """Answers each request with the next of `answers`, and then with the last one; None is no answer."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests = 0
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/main.wasm"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        answer = self._answers[min(self.requests, len(self._answers) - 1)]
        self.requests += 1
        if answer is None:
            self._open.append(connection)
            return
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    def close(self) -> None:
        """Connections that were not answered are reset."""
        self._socket.shutdown(socket.SHUT_RDWR)  # ends `accept`, which `close` does not
        self._thread.join()
        self._socket.close()
        for connection in self._open:
            connection.close()


@contextmanager
def serving(*answers: bytes | None) -> Iterator[Server]:
    server = Server(*answers)
    try:
        yield server
    finally:
        server.close()


def write_config(pwasm: Pwasm, url: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """The configuration of `pwasm config --remote`, whose `remote` is changed, in a file."""
    result = pwasm("config", "main.wasm", "--remote", url, "--name", "far", "--port", "0", "--admin-port", "0")
    assert result.code == 0, result.err
    document = yaml.safe_load(result.out)
    change(remote_of(document))
    file = Path("new.json")
    file.write_text(json.dumps(document))
    return file


def remote_of(document: dict[str, Any]) -> dict[str, Any]:
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    remote = manager["http_filters"][0]["typed_config"]["config"]["vm_config"]["code"]["remote"]
    assert isinstance(remote, dict)
    return remote


def quick(remote: dict[str, Any]) -> None:
    remote["retry_policy"] = QUICK
    remote["http_uri"]["timeout"] = "0.5s"


def answer(envoy: Envoy) -> tuple[int, bytes | None]:
    (address,) = envoy.listeners().values()
    message = request(address, "/")
    return message.status, message.one("x-small")


def report_of(pwasm: Pwasm, envoy: Envoy) -> dict[str, Any]:
    found = json.loads(pwasm("status", "--admin", envoy.admin_url, "--json").out)
    assert isinstance(found, dict)
    return found


FAILURES: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    # what the server does with the module → what `--log` says of Envoy's reason, which it prints at level debug
    "not there": (lambda module: NOT_FOUND, "did not answer with 200"),
    "another module": (lambda module: ok(module + b"\0"), "does not have the SHA-256"),
    "cut off": (lambda module: ok(module[:50], len(module)), "could not be read"),
    "late": (lambda module: None, "no response within the timeout"),
    "empty": (lambda module: ok(b""), "could not be read"),
}


@pytest.mark.envoy
@pytest.mark.parametrize("failure", FAILURES)
def test_a_fetch_that_failed(pwasm: Pwasm, tmp_path: Path, failure: str) -> None:
    made, reason = FAILURES[failure]
    module = http_module(tmp_path / "main.wasm").read_bytes()
    with serving(made(module)) as server:
        file = write_config(pwasm, server.url, quick)
        with Envoy(file, cwd=tmp_path, log_level="debug", keep_log=100_000) as envoy:
            assert answer(envoy)[0] == 503
            found = report_of(pwasm, envoy)
            text = pwasm("status", "--admin", envoy.admin_url).out
            log = [record.raw for record in envoy.log]
    (row,) = found["filters"]
    assert any("its code could not be fetched: every request is answered with 503" in item for item in row["problems"])
    assert found["remote_fetches"] == {"failed": 1, "succeeded": 0}
    assert row["code"] == {"how": "remote", "source": server.url}
    assert "remote code: 0 fetches, 1 failed" in text
    assert server.requests == 2
    said = {item.meaning for line in log if (item := explanation_of(line))}
    assert any(reason in meaning for meaning in said), said
    assert any("Envoy does not try again" in meaning for meaning in said)
    assert any("A filter has no VM" in meaning for meaning in said)


@pytest.mark.envoy
def test_nobody_listens(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    with serving() as server:
        file = write_config(pwasm, server.url, quick)
    with Envoy(file, cwd=tmp_path) as envoy:
        assert answer(envoy)[0] == 503
        assert "its code could not be fetched" in str(report_of(pwasm, envoy)["problems"])


@pytest.mark.envoy
def test_a_filter_that_fails_open_lets_requests_pass(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    with serving(NOT_FOUND) as server:
        file = write_config(pwasm, server.url, quick)
        file.write_text(file.read_text().replace("FAIL_RELOAD", "FAIL_OPEN"))
        with Envoy(file, cwd=tmp_path) as envoy:
            assert answer(envoy) == (200, None)
            (row,) = report_of(pwasm, envoy)["filters"]
    assert "requests pass without it (FAIL_OPEN)" in row["problems"][0]


@pytest.mark.envoy
def test_a_server_that_comes_late_is_waited_for(pwasm: Pwasm, tmp_path: Path) -> None:
    """Envoy's own policy is one retry; the one that pwasm writes has ten, so three failures do no harm."""
    module = http_module(tmp_path / "main.wasm").read_bytes()
    with serving(NOT_FOUND, NOT_FOUND, NOT_FOUND, ok(module)) as server:
        file = write_config(pwasm, server.url, lambda remote: None)
        with Envoy(file, cwd=tmp_path) as envoy:
            assert answer(envoy) == (200, b"VALUE")
            assert server.requests == 4
            found = report_of(pwasm, envoy)
    assert found["problems"] == []
    assert found["remote_fetches"] == {"failed": 0, "succeeded": 1}


@pytest.mark.envoy
def test_a_fetch_that_is_under_way(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    with serving(None) as server:
        envoy = Envoy(write_config(pwasm, server.url, lambda remote: None), cwd=tmp_path)
        envoy.launch()
        try:
            eventually(lambda: server.requests, "a fetch")
            (problem,) = report_of(pwasm, envoy)["problems"]
        finally:
            envoy.stop()
    assert "far: its code is still being fetched" in problem


def test_what_a_configuration_says_of_fetching_is_kept(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")

    def slow(remote: dict[str, Any]) -> None:
        remote["http_uri"]["timeout"] = "77s"
        remote["retry_policy"] = {"num_retries": 3}

    file = write_config(pwasm, "http://code.example/a.wasm", slow)
    options = ("-c", file, "--remote", "http://code.example/b.wasm", "--name", "far")
    result = pwasm("config", "main.wasm", *options)
    assert result.code == 0, result.err
    remote = remote_of(yaml.safe_load(result.out))
    assert remote["http_uri"]["uri"] == "http://code.example/b.wasm"
    assert (remote["http_uri"]["timeout"], remote["retry_policy"]) == ("77s", {"num_retries": 3})


def test_a_retry_policy_is_written(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    file = write_config(pwasm, "http://code.example/a.wasm", lambda remote: None)
    policy = remote_of(json.loads(file.read_text()))["retry_policy"]
    assert policy == {"num_retries": 10, "retry_back_off": {"base_interval": "1s", "max_interval": "30s"}}
