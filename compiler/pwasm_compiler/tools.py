"""External programs: componentize-py, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pwasm_shim

from .errors import ToolError

# The library call, not the command line tool: that one appends whatever site-packages it finds to the path.
_COMPONENTIZE = """\
import sys, componentize_py
wit, world, folder, app, output = sys.argv[1:]
componentize_py.componentize([wit], [world], [], False, None, [folder], [], app, output, False, [], [], False, None)
"""
_KEPT_ENVIRONMENT = ("PATH", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")


TIMEOUT_SECONDS = 300


def componentize(folder: Path, app: str, output: Path) -> None:
    """Build a component from module `app` in `folder`.

    The process sees neither the user's environment nor their working directory, so nothing of them can be frozen.

    Raises:
        ToolError: componentize-py is not installed, failed, or did not come to an end.
    """
    command = [sys.executable, "-I", "-c", _COMPONENTIZE, str(pwasm_shim.world()), pwasm_shim.WORLD_NAME]
    command += [str(folder), app, str(output)]
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"componentize-py took longer than {TIMEOUT_SECONDS} s to hand out the interpreter") from error
    if done.returncode == 0:
        return
    if "No module named 'componentize_py'" in done.stderr:
        raise ToolError("componentize-py is not installed", hint="pip install pwasm-sdk")
    raise ToolError("componentize-py failed", why=_without_backtrace(done.stderr))


def _without_backtrace(text: str) -> str:
    """What a Rust error says, without the backtrace behind it and the Python one before it; the last lines of it."""
    head = text.partition("Stack backtrace:")[0]
    said = head.partition("AssertionError: ")[2] or head
    return "\n".join(said.strip().splitlines()[-20:])
