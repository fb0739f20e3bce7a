"""The cache: damaged entries are not used, failing to write is not an error, and the size limit holds."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pwasm_compiler import cache as store
from pwasm_compiler.cache import Cache, cache_limit, entries, evict
from pwasm_compiler.errors import UsageError


def fill(folder: Path, *sizes: int) -> list[Path]:
    """Entries of these sizes, the first one used longest ago."""
    paths = []
    for number, size in enumerate(sizes):
        path = folder / "kind" / f"entry-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        os.utime(path, (1000 + number, 1000 + number))
        paths.append(path)
    return paths


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "cache")
    assert cache.read("kind", "key") is None
    cache.write("kind", "key", b"contents")
    assert cache.read("kind", "key") == b"contents"
    assert (cache.problem, [entry.path.name for entry in entries(cache.folder)]) == ("", ["key"])


@pytest.mark.parametrize("damage", [b"", b"\0" * 10, b"\0" * 40])
def test_a_damaged_entry_is_not_used_and_goes(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(tmp_path)
    cache.write("kind", "key", b"contents")
    (tmp_path / "kind" / "key").write_bytes(damage)
    assert cache.read("kind", "key") is None
    assert entries(tmp_path) == []


def test_every_flipped_bit_is_seen(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.write("kind", "key", b"contents")
    whole = (tmp_path / "kind" / "key").read_bytes()
    for position in range(len(whole)):
        (tmp_path / "kind" / "key").write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert cache.read("kind", "key") is None, position


def test_an_entry_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")
    cache.write("kind", "key", b"contents")
    assert cache.problem.endswith(f": {tmp_path / 'file'}: Not a directory")
    assert cache.read("kind", "key") is None


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache = Cache(tmp_path)
    cache.write("kind", "key", b"contents")
    assert cache.problem.endswith("No space left on device")
    assert entries(tmp_path) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_an_entry_has_the_permissions_that_the_umask_gives(tmp_path: Path, umask: int, mode: int) -> None:
    """Otherwise other users could not use it."""
    before = os.umask(umask)
    try:
        Cache(tmp_path).write("kind", "key", b"contents")
    finally:
        os.umask(before)
    assert (tmp_path / "kind" / "key").stat().st_mode & 0o777 == mode


def test_what_another_user_keeps_to_themself_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each user would silently replace the other's entry, build after build."""
    Cache(tmp_path).write("kind", "key", b"theirs")

    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        patched.setattr(os, "access", lambda _path, _mode: False)
        cache = Cache(tmp_path)
        assert cache.obtain("kind", "key", lambda: b"ours") == b"ours"
        place = tmp_path / "kind" / "key"
        assert cache.problem == (
            f"cannot read a cache entry, so builds will not get faster: {place}: Permission denied"
        )
    assert Cache(tmp_path).read("kind", "key") == b"theirs"


def test_what_four_want_at_once_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []
    waited: list[str] = []
    together = threading.Barrier(4)

    def make() -> bytes:
        made.append(threading.get_ident())
        time.sleep(0.3)
        return b"contents"

    def want() -> bytes:
        together.wait()
        return Cache(tmp_path, waited.append).obtain("kind", "key", make)

    with ThreadPoolExecutor(4) as pool:
        assert [future.result() for future in [pool.submit(want) for _ in range(4)]] == [b"contents"] * 4
    assert len(made) == 1
    assert set(waited) == {"waiting for another build that is preparing the same files"}


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    with Cache(tmp_path).alone("kind"):
        assert Cache(tmp_path).obtain("kind", "key", lambda: b"contents") == b"contents"


def test_without_a_lock_everybody_works_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Cache(tmp_path / "file").obtain("kind", "key", lambda: b"contents") == b"contents"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in a container, which no file of users knows."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PWASM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert not store.cache_dir().exists()


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    paths = fill(tmp_path, 100, 100, 100)
    cache = Cache(tmp_path)
    cache.write("kind", "young", b"")
    os.utime(paths[0], (2000, 2000))  # as `touch` does when an entry is read
    removed = evict(tmp_path, 250, in_use_since=3000)
    assert [entry.path for entry in removed] == [paths[1]]
    assert [path.exists() for path in paths] == [True, False, True]


def test_reading_counts_as_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for key in ("a", "b"):
        cache.write("kind", key, b"contents")
        os.utime(tmp_path / "kind" / key, (1000, 1000))
    cache.read("kind", "a")
    assert [entry.path.name for entry in entries(tmp_path)] == ["b", "a"]


def test_what_this_build_uses_stays_whatever_the_limit(tmp_path: Path) -> None:
    paths = fill(tmp_path, 100, 100)
    assert [entry.path for entry in evict(tmp_path, 0, in_use_since=1001)] == [paths[0]]
    assert paths[1].exists()


def test_folders_and_remains_of_interrupted_builds_count(tmp_path: Path) -> None:
    (tmp_path / "kind" / ".key-rest").mkdir(parents=True)
    (tmp_path / "kind" / ".key-rest" / "file").write_bytes(bytes(50))
    assert [entry.size for entry in entries(tmp_path)] == [50]
    evict(tmp_path, 0, in_use_since=float("inf"))
    assert entries(tmp_path) == []


@pytest.mark.parametrize("text", ["-1", "1.5", "many", " "])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PWASM_CACHE_LIMIT", text)
    with pytest.raises(UsageError, match="PWASM_CACHE_LIMIT"):
        cache_limit()


def test_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWASM_CACHE_LIMIT", raising=False)
    assert cache_limit() == store.DEFAULT_LIMIT_MIB << 20
    monkeypatch.setenv("PWASM_CACHE_LIMIT", "3")
    assert cache_limit() == 3 << 20


# -- the command

Pwasm = Callable[..., "object"]


def run(*arguments: str) -> tuple[int, str, str]:
    from click.testing import CliRunner

    from pwasm_compiler.cli import cli

    result = CliRunner().invoke(cli, ["cache", *arguments])
    return result.exit_code, result.stdout, str(result.exception or "")


def test_show(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWASM_CACHE_LIMIT", "2")
    assert run() == (0, f"{empty_cache}: 0.0 MiB of at most 2.0 MiB\n", "")
    Cache().write("code", "x", bytes(1 << 20))
    lines = run("show")[1].splitlines()
    assert lines[0] == f"{empty_cache}: 1.0 MiB of at most 2.0 MiB"
    assert lines[1].split() == ["code", "1", "1.0", "MiB", "linked", "code,", "per", "set", "of", "callbacks"]


def test_show_and_clear_as_json(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PWASM_CACHE_LIMIT", raising=False)
    Cache().write("code", "x", bytes(68))
    shown = json.loads(run("--json")[1])
    assert shown == {
        "folder": str(empty_cache),
        "limit": store.DEFAULT_LIMIT_MIB << 20,
        "size": 100,
        "kinds": {"code": {"entries": 1, "size": 100}},
    }
    assert json.loads(run("clear", "--json")[1]) == {"freed": 100, "left": []}
    assert json.loads(run("--json")[1])["size"] == 0


def test_clear(empty_cache: Path) -> None:
    Cache().write("code", "x", b"")
    Cache().write("runtime", "y", b"")
    assert run("clear")[1] == "removed 2 entries, 0.0 MiB\n"
    assert entries(empty_cache) == []


def test_what_cannot_be_removed_is_said(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache().write("code", "x", b"")

    def denied(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", denied)
    for arguments in (["clear"], ["clear", "--json"]):
        code, out, error = run(*arguments)
        assert code != 0
        assert out == "", "with --json the error is the document, and there is one"
        assert error.startswith(f"cannot remove {empty_cache / 'code' / 'x'}")
