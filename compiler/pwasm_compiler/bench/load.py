"""The load: one request, sent again and again over a few connections for some seconds.

    wrk      saturates one Envoy worker from one thread, so the time per request is that of the filter and Envoy
    python   the client of this package (`client`), if there is no wrk: several times slower, so Envoy is not
             saturated and only its processor time per request is meaningful

Anything but a plain GET is passed to wrk as a script without functions, so wrk builds the request only once.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from pwasm_compiler.errors import ToolError

CONNECTIONS = 8
"""Enough to saturate one worker."""
_GRACE_SECONDS = 30
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


@dataclass(frozen=True)
class Request:
    """What the client sends, besides `host` and `content-length`."""

    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class LoadResult:
    """One run; latencies in microseconds. `other` responses had a status outside 200 to 399."""

    requests: int
    requests_per_second: float
    p50: float
    p99: float
    other: int = 0


def find_wrk() -> str | None:
    """The path of wrk, or None."""
    return shutil.which("wrk")


def run_wrk(server: str, request: Request, seconds: int, connections: int = CONNECTIONS) -> LoadResult:
    """Load `server` with wrk, in one thread.

    Raises:
        ToolError: wrk failed, or a socket did.
    """
    wrk = find_wrk() or "wrk"
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", server + request.path]
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".lua") as file:
        if script := wrk_script(request):
            file.write(script)
            file.flush()
            command[1:1] = ["-s", file.name]
        return parse_wrk(_run(command, "wrk", seconds))


def run_client(
    server: str, request: Request, seconds: int, connections: int = CONNECTIONS, requests: int | None = None
) -> LoadResult:
    """Load `server` with the client of this package, a separate process; it ends early after `requests`.

    Raises:
        ToolError: a connection failed, or a response was invalid.
    """
    asked = {
        "server": server,
        "method": request.method,
        "path": request.path,
        "headers": dict(request.headers),
        "body": None if request.body is None else base64.b64encode(request.body).decode("ascii"),
        "seconds": seconds,
        "connections": connections,
        "requests": requests,
    }
    said = _run([sys.executable, "-m", "pwasm_compiler.bench.client"], "the client", seconds, json.dumps(asked))
    return LoadResult(**json.loads(said))


def _run(command: list[str], name: str, seconds: int, given: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{name} was still running {_GRACE_SECONDS} s after it should have ended") from error
    except OSError as error:
        raise ToolError(f"{name} could not be started: {error.strerror}") from error
    if done.returncode != 0:
        raise ToolError(f"{name} exited with code {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wrk_script(request: Request) -> str:
    """The script that makes wrk send `request`; "" for a plain GET. The path is in the URL."""
    lines = []
    if request.method != "GET":
        lines.append(f"wrk.method = {_lua(request.method.encode())}\n")
    lines += [
        f"wrk.headers[{_lua(name.encode())}] = {_lua(value.encode())}\n" for name, value in request.headers.items()
    ]
    if request.body is not None:
        lines.append(f"wrk.body = {_lua(request.body)}\n")
    return "".join(lines)


def _lua(data: bytes) -> str:
    """A Lua string literal, with special characters escaped as three decimal digits."""
    plain = (32 <= byte < 127 and byte not in b'"\\' for byte in data)
    return '"' + "".join(chr(byte) if keep else f"\\{byte:03}" for byte, keep in zip(data, plain, strict=True)) + '"'


def parse_wrk(text: str) -> LoadResult:
    """The figures of one run of `wrk --latency`."""
    if found := re.search(r"Socket errors: .*", text):
        raise ToolError(f"wrk: {found[0]}")
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    result = LoadResult(
        int(_field(text, r"(\d+) requests in ")),
        float(_field(text, r"Requests/sec:\s+([\d.]+)")),
        _latency(_field(text, r"\s50%\s+(\S+)")),
        _latency(_field(text, r"\s99%\s+(\S+)")),
        int(other[1]) if other else 0,
    )
    if result.requests == 0:
        raise ToolError("wrk: no request was answered")
    return result


def _field(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ToolError(f"wrk's output has no match for {pattern!r}: {text.strip()}")
    return found[1]


def _latency(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise ToolError(f"wrk printed a time in an unknown format: {text}")
    return float(found[1]) * _MICROSECONDS[found[2]]
