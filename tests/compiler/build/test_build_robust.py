"""Builds that are interrupted, on a full disk, with a cache that is damaged or cannot be written, and two at once.

Each build is a separate process. None leaves a broken main.wasm, and none uses incomplete files.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pwasm_compiler.cache import cache_dir
from pwasm_compiler.commands.cache import KINDS
from pwasm_compiler.inspect import report
from tests.support.command_line import without_progress

pytestmark = pytest.mark.wasm
DEADLINE_SECONDS = 120
FILTER = "import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n"
OF_THE_RUNTIME = "machine"
"""The kind of entries that all filters share and that takes seconds to make."""
SLOW = "import time\n\nfor _ in range(10**12):\n    pass\n"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache as a build of the filter leaves it; these tests damage copies of it."""
    folder = tmp_path_factory.mktemp("warm") / "cache"
    (folder.parent / "filter.py").write_text(FILTER)
    assert finish(launch(folder.parent, cache_dir()))[0] == 0
    shutil.copytree(cache_dir() / OF_THE_RUNTIME, folder / OF_THE_RUNTIME, ignore=shutil.ignore_patterns(".*"))
    assert finish(launch(folder.parent, folder))[0] == 0
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A filter's folder."""
    (tmp_path / "filter.py").write_text(FILTER)
    return tmp_path


@pytest.fixture
def own_cache(warm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(warm, tmp_path / "cache"))


def launch(folder: Path, cache: Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pwasm_compiler.cli", "build", str(folder)]
    environment = {**os.environ, "PWASM_CACHE_DIR": str(cache), "NO_COLOR": "1"}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard error."""
    _, said = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, without_progress(said)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "main.wasm").read_bytes()).hexdigest()


def strangers(folder: Path) -> list[str]:
    """Files that a build has left besides its result."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.fixture
def running(folder: Path, own_cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A build that is importing its filter, and never finishes."""
    (folder / "filter.py").write_text(SLOW)
    (folder / "main.wasm").write_bytes(b"of before")
    process = launch(folder, own_cache, start_new_session=True)
    _wait_for_processor_time(process, 2)
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def _wait_for_processor_time(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait until the build is in the loop, even on a slow machine: everything before takes less processor time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    ticks = os.sysconf("SC_CLK_TCK")
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / ticks > seconds:
            return
        time.sleep(0.05)
    raise AssertionError("the build never came to its loop")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_the_old_module(
    running: subprocess.Popen[str], folder: Path, own_cache: Path, number: signal.Signals
) -> None:
    running.send_signal(number)
    code, said = finish(running)
    assert code != 0
    if number is signal.SIGINT:
        assert said.strip() == "aborted"
    assert (folder / "main.wasm").read_bytes() == b"of before"
    assert strangers(folder) == []
    (folder / "filter.py").write_text(FILTER)
    assert finish(launch(folder, own_cache))[0] == 0
    assert report(folder / "main.wasm")["accepted"]


def test_a_full_disk(folder: Path, own_cache: Path) -> None:
    """No file may exceed 4 MiB, which has the effect of a full disk when a module is written."""
    (folder / "main.wasm").write_bytes(b"of before")
    code, said = finish(launch(folder, own_cache, preexec_fn=_small_files_only))
    assert (code, said) == (1, f"error: cannot write {folder / 'main.wasm'}\nFile too large\n")
    assert (folder / "main.wasm").read_bytes() == b"of before"
    assert strangers(folder) == []


def test_a_full_disk_with_empty_caches(folder: Path, tmp_path: Path) -> None:
    """Neither can the cache be written: an error for the one, no word of the other."""
    code, said = finish(launch(folder, tmp_path / "empty", preexec_fn=_small_files_only))
    assert (code, said) == (1, f"error: cannot write {folder / 'main.wasm'}\nFile too large\n")
    assert not (folder / "main.wasm").exists()
    assert strangers(folder) == []


def _small_files_only() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))


def test_a_cache_that_cannot_be_written(folder: Path, own_cache: Path) -> None:
    """Existing entries are used; others are created, and a warning says why the next build creates them again."""
    shutil.rmtree(own_cache / "code")
    (own_cache / "code").touch()  # nobody can make a folder there, not even root
    code, said = finish(launch(folder, own_cache))
    assert code == 0
    assert said == (
        "warning: cannot write the cache, so the next build will not be faster: "
        f"{own_cache}: {said.rpartition(': ')[2]}"
    )
    assert report(folder / "main.wasm")["accepted"]


@pytest.mark.parametrize("kind", ["bytecode", "code", "machine"])
def test_damaged_entries_are_made_again(folder: Path, own_cache: Path, kind: str) -> None:
    assert finish(launch(folder, own_cache))[0] == 0
    right = digest(folder)
    (folder / "main.wasm").unlink()
    damaged = list((own_cache / kind).iterdir())
    assert damaged
    for number, entry in enumerate(damaged):
        contents = bytearray(entry.read_bytes())
        contents[len(contents) // 2] ^= 1
        entry.write_bytes(contents if number % 2 == 0 else contents[: len(contents) // 2])
    assert finish(launch(folder, own_cache)) == (0, "")
    assert digest(folder) == right


def test_two_builds_at_once(folder: Path, own_cache: Path, tmp_path: Path) -> None:
    """In the same folder, with everything missing from the cache that takes a second to create."""
    for kind in ("bytecode", "code"):
        shutil.rmtree(own_cache / kind)
    both = [launch(folder, own_cache) for _ in range(2)]
    assert [finish(process) for process in both] == [(0, ""), (0, "")]
    together = digest(folder)
    assert strangers(folder) == []
    assert [path.name for path in own_cache.glob("*/.*")] == []
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "filter.py").write_text(FILTER)
    assert finish(launch(tmp_path / "alone", own_cache))[0] == 0
    assert digest(tmp_path / "alone") == together


def test_the_cache_command_knows_each_kind(warm: Path) -> None:
    """What builds keep, and what `pwasm test` keeps (pwasm.testing: filters, wasm)."""
    assert {kind.name for kind in warm.iterdir() if kind.is_dir()} | {"tested", "wasmtime"} <= set(KINDS)


def test_an_old_entry_is_no_hit_for_another_filter(folder: Path, own_cache: Path) -> None:
    assert finish(launch(folder, own_cache))[0] == 0
    before = digest(folder)
    (folder / "filter.py").write_text(FILTER + "MORE = 1\n")
    assert finish(launch(folder, own_cache))[0] == 0
    assert digest(folder) != before


def test_the_limit_of_the_cache_holds_after_a_build(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = own_cache / "code" / "of another filter"
    stale.write_bytes(bytes(1 << 20))
    os.utime(stale, (1000, 1000))
    monkeypatch.setenv("PWASM_CACHE_LIMIT", "1")
    assert finish(launch(folder, own_cache)) == (0, "")
    assert not stale.exists()
    assert (own_cache / "machine").is_dir()
