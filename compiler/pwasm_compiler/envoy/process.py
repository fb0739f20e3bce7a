"""A real Envoy as a context manager: start it, wait until it is ready, read its log and statistics, stop it.

    with Envoy(bootstrap([HttpListener([WasmFilter("main.wasm")])]), cwd=folder) as envoy:
        response = urllib.request.urlopen(envoy.url + "/one")
        envoy.wait_for_log("adding the header")

No Envoy outlives its Python process: it is stopped at the end of the `with`, at interpreter exit, and on Linux by the
kernel when Python is killed. That last guard is tied to the *thread* that started Envoy, so it is omitted for an Envoy
started in a thread other than the main one.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pwasm_compiler.envoy.binary import find_envoy, spawn
from pwasm_compiler.envoy.errors import EnvoyError, EnvoyExitedError, EnvoyNotFoundError, EnvoyTimeoutError
from pwasm_compiler.envoy.log import LogParser, LogRecord

__all__ = ["Envoy", "EnvoyError", "EnvoyExitedError", "EnvoyNotFoundError", "EnvoyTimeoutError", "find_envoy"]

_POLL_SECONDS = 0.01
_ADMIN_TIMEOUT_SECONDS = 10.0
_READY_TIMEOUT_SECONDS = 1.0
_STOP_SECONDS = 5.0
_RECORD_SECONDS = 0.05
"""How long a log record waits for a further line of the same message."""


class Envoy:
    """One Envoy process.

    `config` is a bootstrap (see `config.bootstrap`) or the path of one. Envoy resolves the file names in it
    against `cwd`. `on_log` is called with each record from the thread that reads the log. The files that Envoy needs,
    and `envoy.log`, are in `run_dir`: a temporary folder unless one is given. `log` keeps all records, or the last
    `keep_log`.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | str | os.PathLike[str],
        *,
        executable: str | os.PathLike[str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        concurrency: int = 1,
        log_level: str = "info",
        wasm_log_level: str = "info",
        run_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        on_log: Callable[[LogRecord], None] | None = None,
        keep_log: int | None = None,
        ready_timeout: float = 180.0,
    ) -> None:
        self.executable = find_envoy(executable)
        self.log: list[LogRecord] = []
        self._config = config
        self._cwd = Path.cwd() if cwd is None else Path(cwd)
        self._options = ["--concurrency", str(concurrency), "--log-level", log_level]
        self._options += ["--component-log-level", f"wasm:{wasm_log_level}", "--disable-hot-restart", *arguments]
        self._run_dir = run_dir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._environment = None if environment is None else {**os.environ, **environment}
        self._on_log = on_log
        self._keep_log = keep_log
        self._ready_timeout = ready_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._grew = threading.Condition()
        self._log_ended = False
        self._admin: tuple[str, int] | None = None

    # -- lifecycle

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start Envoy and return when it is ready. If it fails to start, it is stopped before the error is raised."""
        try:
            self.launch()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def launch(self) -> None:
        """Start the process without waiting for it; end it with `stop`."""
        if self._process is not None:
            raise EnvoyError("this Envoy has already been started")
        if self._run_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="pwasm-envoy-", ignore_cleanup_errors=True)
            self._run_dir = Path(self._temporary.name)
        self._run_dir.mkdir(parents=True, exist_ok=True)
        self._admin_address_file.unlink(missing_ok=True)
        command = [str(self.executable), *self._config_arguments(self._run_dir), *self._options]
        command += ["--admin-address-path", str(self._admin_address_file)]
        self._process = spawn(command, self._cwd, self._environment)
        atexit.register(self.stop)
        self._reader = threading.Thread(target=self._read_log, name=f"envoy-log-{self._process.pid}", daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End Envoy: SIGTERM, then SIGKILL if it does not exit. Safe to call more than once."""
        atexit.unregister(self.stop)
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._finish_log()
        if self._temporary is not None:
            self._temporary.cleanup()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send Envoy a signal, for testing what happens when it dies."""
        self._running().send_signal(number)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until Envoy exits by itself; its exit code (negative: a signal), or None after `timeout` seconds."""
        try:
            return self._running().wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def check_alive(self) -> None:
        """Raise `EnvoyExitedError` with the exit code or signal and the last log lines if Envoy has exited."""
        code = self._running().poll()
        if code is None:
            return
        self._finish_log()
        raise EnvoyExitedError(code, self.log)

    def wait_until_ready(self) -> None:
        """Return as soon as the admin interface reports LIVE: every listener is open and every plugin has started.

        In the main thread, that is: a worker may still be making its VM, and serves its first request after that.
        """
        deadline = time.monotonic() + self._ready_timeout
        while True:
            self.check_alive()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if (
                    self._read_admin_address()
                    and self._get("/ready", timeout=_READY_TIMEOUT_SECONDS)[0] == http.client.OK
                ):
                    return
            if time.monotonic() > deadline:
                raise EnvoyTimeoutError(f"Envoy was not ready after {self._ready_timeout:g} s", self.log)
            time.sleep(_POLL_SECONDS)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    # -- the log

    @property
    def log_path(self) -> Path:
        """Envoy's complete log, unmodified."""
        if self._run_dir is None:
            raise EnvoyError("this Envoy has not been started")
        return self._run_dir / "envoy.log"

    @property
    def filter_log(self) -> list[LogRecord]:
        """The records logged by Wasm filters."""
        return [record for record in self.log if record.from_filter]

    def wait_for_log(self, substring: str, timeout: float = 10.0, *, count: int = 1) -> LogRecord:
        """Wait for the `count`-th record that contains `substring`, and return it."""
        deadline = time.monotonic() + timeout
        with self._grew:
            while True:
                found = [record for record in self.log if substring in record.raw]
                if len(found) >= count:
                    return found[count - 1]
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._log_ended:
                    break
                self._grew.wait(remaining)
        self.check_alive()
        wanted = repr(substring) if count == 1 else f"{substring!r} {count} times"
        raise EnvoyTimeoutError(f"not in Envoy's log after {timeout:g} s: {wanted} (found {len(found)})", self.log)

    # -- the admin interface

    @property
    def admin_url(self) -> str:
        """The URL of the admin interface, without a trailing slash."""
        return f"http://{_host_port(self._admin_address())}"

    @property
    def url(self) -> str:
        """The URL of the first listener, without a trailing slash."""
        listeners = self.listeners()
        if not listeners:
            raise EnvoyError("this Envoy has no listener")
        return f"http://{_host_port(next(iter(listeners.values())))}"

    def listeners(self) -> dict[str, tuple[str, int]]:
        """Name of each listener with the address it is actually bound to."""
        found = {}
        for status in json.loads(self.admin("/listeners?format=json")).get("listener_statuses", ()):
            address = status["local_address"].get("socket_address")
            if address is not None:  # a listener on a Unix socket has none
                found[status["name"]] = (address["address"], address["port_value"])
        return found

    def stats(self, prefix: str = "") -> dict[str, int]:
        """Counters and gauges whose name starts with `prefix`."""
        query = urllib.parse.urlencode({"format": "json", "filter": "^" + re.escape(prefix)})
        stats = json.loads(self.admin(f"/stats?{query}"))["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "name" in stat and isinstance(stat["value"], int)}

    def config_dump(self) -> dict[str, Any]:
        """Envoy's complete current configuration."""
        dump: dict[str, Any] = json.loads(self.admin("/config_dump"))
        return dump

    def admin(self, path: str, method: str = "GET") -> bytes:
        """The body of a response of the admin interface."""
        try:
            status, body = self._get(path, method)
        except (OSError, http.client.HTTPException) as error:
            self.check_alive()
            raise EnvoyError(f"the admin interface did not respond to {path}: {error}", self.log) from error
        if status != http.client.OK:
            raise EnvoyError(f"the admin interface responded with {status} to {path}", self.log)
        return body

    def _get(self, path: str, method: str = "GET", *, timeout: float = _ADMIN_TIMEOUT_SECONDS) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self._admin_address(), timeout=timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _admin_address(self) -> tuple[str, int]:
        if self._admin is None and not self._read_admin_address():
            self.check_alive()
            raise EnvoyError("this Envoy has no admin interface yet", self.log)
        assert self._admin is not None
        return self._admin

    def _read_admin_address(self) -> bool:
        """Read the address that Envoy has written, if it has; the kernel may have chosen the port."""
        if self._admin is None and self._admin_address_file.exists():
            host, _, port = self._admin_address_file.read_text(encoding="ascii").strip().rpartition(":")
            if port.isdecimal():
                self._admin = (_reachable(host), int(port))
        return self._admin is not None

    # -- internals

    @property
    def _admin_address_file(self) -> Path:
        if self._run_dir is None:
            raise EnvoyError("this Envoy has not been started")
        return self._run_dir / "admin-address"

    def _finish_log(self) -> None:
        """Wait until the log of an Envoy that has exited is read to its end."""
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EnvoyError("this Envoy has not been started")
        return self._process

    def _config_arguments(self, run_dir: Path) -> list[str]:
        if isinstance(self._config, Mapping):
            file = run_dir / "envoy.json"
            file.write_text(json.dumps(self._config, indent=2), encoding="utf-8")
            return ["--config-path", str(file)]
        file = Path(self._config).absolute()
        arguments = ["--config-path", str(file)]
        if file.is_file() and not re.search(rb'^\s*"?admin"?\s*:', file.read_bytes(), re.MULTILINE):
            # Readiness is checked through the admin interface, so a configuration without one gets one.
            address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
            arguments += ["--config-yaml", json.dumps({"admin": {"address": address}})]
        return arguments

    def _read_log(self) -> None:
        """Move Envoy's output to `log`, line by line, until it ends (runs in its own thread)."""
        output = self._running().stdout
        assert output is not None
        parser, rest = LogParser(), b""
        with self.log_path.open("wb", buffering=0) as file, selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                if not selector.select(_RECORD_SECONDS if parser.pending else None):
                    self._add(parser.flush())
                    continue
                chunk = os.read(output.fileno(), 65536)
                if not chunk:
                    break
                file.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._add(parser.feed(line.decode("utf-8", "backslashreplace")))
            if rest:
                self._add(parser.feed(rest.decode("utf-8", "backslashreplace")))
            self._add(parser.flush())
        output.close()
        with self._grew:
            self._log_ended = True
            self._grew.notify_all()

    def _add(self, record: LogRecord | None) -> None:
        if record is None:
            return
        with self._grew:
            self.log.append(record)
            if self._keep_log is not None:
                del self.log[: -self._keep_log]
            self._grew.notify_all()
        if self._on_log is not None:
            self._on_log(record)


def _reachable(host: str) -> str:
    """An address to connect to, given one that may mean "all interfaces"."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "127.0.0.1", "::": "127.0.0.1"}.get(host, host.strip("[]"))


def _host_port(address: tuple[str, int]) -> str:
    host, port = _reachable(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
