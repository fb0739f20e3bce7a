"""The load: wrk with one thread and 8 connections, which saturates one Envoy worker, for a number of seconds.

What is not a plain GET is told to wrk by a script without functions, so wrk makes the request once and only sends it.
A run counts only when every request of it was answered with 2xx or 3xx and no socket failed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

from .problems import BenchError, NotMeasuredError
from .scenarios import Request

CONNECTIONS = 8
_GRACE_SECONDS = 30
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}


@dataclass(frozen=True)
class LoadResult:
    """What wrk says of one run; latencies in microseconds."""

    requests: int
    requests_per_second: float
    p50: float
    p99: float


def find_wrk() -> str:
    """The path of wrk, or NotMeasuredError."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise NotMeasuredError("wrk is not installed")
    return wrk


def run_wrk(server: str, request: Request, seconds: int) -> LoadResult:
    """Send `request` to `server`, again and again for `seconds`."""
    command = [find_wrk(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", server + request.path]
    timeout = seconds + _GRACE_SECONDS
    try:
        with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".lua") as file:
            if script := wrk_script(request):
                file.write(script)
                file.flush()
                command[1:1] = ["-s", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"wrk did not end {_GRACE_SECONDS} s after it should have") from error
    if done.returncode != 0:
        raise BenchError(f"wrk ended with exit code {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return parse_wrk(done.stdout)


def wrk_script(request: Request) -> str:
    """What makes wrk send `request`; nothing for a plain GET. The path is in the URL."""
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
    """A string of Lua. What does not stand for itself in quotes is a number of three digits."""
    plain = (32 <= byte < 127 and byte not in b'"\\' for byte in data)
    return '"' + "".join(chr(byte) if keep else f"\\{byte:03}" for byte, keep in zip(data, plain, strict=True)) + '"'


def parse_wrk(text: str) -> LoadResult:
    """The figures of one run of `wrk --latency`; requests that failed make it an error."""
    for problem in (r"Non-2xx or 3xx responses: \d+", r"Socket errors: .*"):
        if found := re.search(problem, text):
            raise BenchError(f"wrk: {found[0]}")
    result = LoadResult(
        int(_field(text, r"(\d+) requests in ")),
        float(_field(text, r"Requests/sec:\s+([\d.]+)")),
        _latency(_field(text, r"\s50%\s+(\S+)")),
        _latency(_field(text, r"\s99%\s+(\S+)")),
    )
    if result.requests == 0:
        raise BenchError("wrk: no request was answered")
    return result


def _field(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise BenchError(f"wrk printed no {pattern!r}: {text.strip()}")
    return found[1]


def _latency(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if found is None:
        raise BenchError(f"wrk printed a time of an unknown form: {text}")
    return float(found[1]) * _MICROSECONDS[found[2]]
