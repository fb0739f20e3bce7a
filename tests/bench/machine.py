"""The factors besides the filter that figures depend on: the machine, and the versions of the software."""

from __future__ import annotations

import datetime
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.envoy.process import EnvoyNotFoundError, find_envoy

from .builders import run


@dataclass(frozen=True)
class Machine:
    """The machine at the start of a run; a load average far above 0 means that it was not idle."""

    cores: int
    processor: str
    system: str
    envoy: str
    python: str
    load_average: float
    date: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.processor}, {self.system}, Envoy {self.envoy}, Python {self.python}, "
            f"load average at the start {self.load_average:.2f}, {self.date}"
        )


def this_machine() -> Machine:
    """The machine this runs on (Linux)."""
    return Machine(
        len(os.sched_getaffinity(0)),
        _processor(),
        f"{platform.system()} {platform.release()}",
        _envoy_version(),
        platform.python_version(),
        os.getloadavg()[0],
        datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _envoy_version() -> str:
    try:
        said = run([str(find_envoy()), "--version"], Path.cwd())
    except EnvoyNotFoundError:
        return "not installed"
    found = re.search(r"/(\d+\.\d+\.\d+[^/]*)/", said)
    return found[1] if found else said.strip()
