"""What the kernel reports about a process (Linux, proc(5))."""

from __future__ import annotations

import re
from pathlib import Path

from pwasm_compiler.errors import ToolError


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", _read(f"/proc/{pid}/status"), re.MULTILINE)
    if found is None:
        raise ToolError(f"process {pid} has no VmRSS")
    return int(found[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Processor time of a process's current threads, user and system, with nanosecond resolution (schedstat)."""
    threads = Path(f"/proc/{pid}/task")
    try:
        return sum(int(_read(f"{thread}/schedstat").split()[0]) for thread in threads.iterdir()) / 1e9
    except OSError as error:
        raise _no_figures(error) from error


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise _no_figures(error) from error


def _no_figures(error: OSError) -> ToolError:
    return ToolError(
        f"cannot read {error.filename}",
        why="Memory and processor time are read from /proc, which exists only on Linux."
        if not Path("/proc/self").exists()
        else f"{error.strerror}.",
    )
