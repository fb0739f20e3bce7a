"""The same files give the same bytes, wherever and whenever they are built, and nothing of the build is in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.inspect import report
from tests.support.paths import TESTS

pytestmark = pytest.mark.wasm

# Everything that could carry the build into the snapshot: hashes, clocks, randomness, the environment, files.
FILTER = """\
import datetime
import os
import random
import secrets
import sys
import tempfile
import time
import uuid

import pwasm

NAMES = {f"name-{n}" for n in range(500)} | {bytes([n]) for n in range(250)}
OBJECTS = {object(): n for n in range(50)}
MOMENTS = time.time(), time.time_ns(), time.monotonic(), time.perf_counter(), time.localtime(), datetime.datetime.now()
DRAWN = random.random(), secrets.token_bytes(32), uuid.uuid4(), os.urandom(16), random.Random().random()
MACHINE = dict(os.environ), os.getcwd(), sys.path, sys.argv, time.tzname, os.listdir("/0"), os.stat(__file__)
try:
    MASK = os.umask(0)
except OSError:
    MASK = None
PIECES = [secrets.token_hex(n) for n in range(200)][::2]
print(hash("a"), *sorted(NAMES, key=hash)[:2])


class Filter(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        return pwasm.Action.CONTINUE


pwasm.set_http_context(Filter)
"""
SECRET = "what-only-the-environment-of-the-build-says"
Build = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build(name, …)`: builds FILTER in a folder of that name; what the build says, and `module`, the bytes."""
    root = tmp_path_factory.mktemp("reproducible")

    def run(
        name: str, *, days: int = 0, umask: int = 0o022, hash_seed: int | None = None, text: str = FILTER, **more: str
    ) -> dict[str, Any]:
        folder, output = root / name, root / f"{name}.wasm"
        folder.mkdir()
        (folder / "filter.py").write_text(text)
        (folder / "helper.py").write_text("GIVEN = 1\n")
        for file in (folder, *folder.iterdir()):
            os.utime(file, (1_000_000_000 + days, 1_000_000_000 + days))
        arguments = [folder, output, days, *([] if hash_seed is None else [hash_seed])]
        done = subprocess.run(
            [sys.executable, str(TESTS / "support" / "build_elsewhere.py"), *map(str, arguments)],
            env={**os.environ, "PYTHONHASHSEED": str(len(name)), "SECRET": SECRET, **more},
            umask=umask,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "module": output.read_bytes(), "folder": str(folder)}

    return run


@pytest.fixture(scope="module")
def first(build: Build) -> dict[str, Any]:
    return build("first")


OTHERWISE: dict[str, dict[str, Any]] = {
    "another folder": {},
    "another user": {"HOME": "/nowhere", "USER": "somebody", "LOGNAME": "somebody", "LANG": "de_CH.UTF-8"},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "another umask": {"umask": 0o077},
    "another day": {"days": 400},
}


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Not `==` on the modules: pytest would show how 16 MB differ."""
    differing = [at for at, (a, b) in enumerate(zip(one["module"], other["module"], strict=False)) if a != b]
    assert (len(one["module"]), differing[:10]) == (len(other["module"]), [])
    assert one["sha256"] == other["sha256"]


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_same_files_give_the_same_bytes(build: Build, first: dict[str, Any], name: str) -> None:
    same(first, build(name, **OTHERWISE[name]))


def test_with_empty_caches_and_all_else_different_too(build: Build, first: dict[str, Any], tmp_path: Path) -> None:
    """Everything except the base, which comes with pwasm; the only slow test here."""
    everything: dict[str, Any] = {}
    for difference in OTHERWISE.values():
        everything |= difference
    second = build("everything", PWASM_CACHE_DIR=str(tmp_path / "cache"), TMPDIR=str(tmp_path), **everything)
    same(first, second)


def test_nothing_of_the_machine_is_in_the_module(first: dict[str, Any]) -> None:
    module = first["module"]
    for text in (str(Path.home()), sys.prefix, os.environ["PATH"], SECRET, first["folder"]):
        if len(text) > 5:  # "/root" says nothing: the paths of the sources of CPython's libraries begin with it
            assert text.encode() not in module, text
    assert b"name-499" in module


def test_the_hash_seed_is_recorded_and_follows_the_content(build: Build, first: dict[str, Any]) -> None:
    edited = build("edited", text=FILTER + "# edited\n")
    assert edited["hash_seed"] != first["hash_seed"]
    assert edited["prints"].split()[0] != first["prints"].split()[0]
    assert str(first["hash_seed"]).encode() in first["module"]


def test_a_given_hash_seed_decides(build: Build, tmp_path: Path) -> None:
    one, two = build("seed 7", hash_seed=7), build("seed 8", hash_seed=8)
    assert one["prints"].split()[0] != two["prints"].split()[0]
    same(one, build("seed 7 again", hash_seed=7))
    (tmp_path / "main.wasm").write_bytes(one["module"])
    assert report(tmp_path / "main.wasm")["hash_seed"] == 7


def test_one_character_more_is_another_module(build: Build, first: dict[str, Any]) -> None:
    """So the comparisons above can fail."""
    assert build("other", text=FILTER + "# other\n")["sha256"] != first["sha256"]
