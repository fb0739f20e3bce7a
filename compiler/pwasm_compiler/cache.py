"""Where pwasm keeps what it may throw away, and how it gets there: whole or not at all.

    <cache>/<kind>/<key>    a file that starts with the SHA-256 of the rest, or a folder

Keys are digests of everything an entry depends on, so an entry is never out of date; one that is damaged is not used
and goes. A cache that cannot be written is no error, the build works without. What was used longest ago goes first when
all entries together are larger than the limit.

Several users may share a folder: files have the permissions that the umask gives, and an entry that another user keeps
to themself is neither used nor replaced. They have to trust one another, for entries hold machine code.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from .errors import UsageError

DEFAULT_LIMIT_MIB = 1024
LOCK_SECONDS = 300.0
"""How long to wait for others at most. Nothing depends on it but that work is not done twice."""
_DIGEST = hashlib.sha256().digest_size


def cache_dir() -> Path:
    """$PWASM_CACHE_DIR, else `pwasm` in the user's cache folder. It may not exist yet."""
    explicit = os.environ.get("PWASM_CACHE_DIR")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and must be ignored.
    return (Path(base) if Path(base).is_absolute() else _home() / ".cache") / "pwasm"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no $HOME, and no entry for this user: a number in a container
        return Path("/nonexistent")


def cache_limit() -> int:
    """Bytes that all entries together may take: $PWASM_CACHE_LIMIT in MiB.

    Raises:
        UsageError: it is not a whole number of at least 0.
    """
    text = os.environ.get("PWASM_CACHE_LIMIT", "")
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(f"PWASM_CACHE_LIMIT is {text!r}", why="it must be a whole number of MiB, 0 or more")
    return int(text or DEFAULT_LIMIT_MIB) << 20


@dataclass
class Cache:
    """The cache as one build sees it."""

    folder: Path = field(default_factory=cache_dir)
    waiting: Callable[[str], None] = lambda _message: None
    """Is told when another process is waited for."""
    problem: str = ""
    """What did not work, as a warning says it."""

    def read(self, kind: str, key: str) -> bytes | None:
        """The contents of an entry, or None when there is none that is whole."""
        path = self.folder / kind / key
        try:
            stored = path.read_bytes()
        except PermissionError as error:  # another user's
            self.problem = (
                f"an entry of the cache cannot be read, so each build takes as long again: {path}: {error.strerror}"
            )
            return None
        except OSError:
            return None
        contents = memoryview(stored)[_DIGEST:]
        if len(stored) < _DIGEST or hashlib.sha256(contents).digest() != stored[:_DIGEST]:
            with suppress(OSError):
                path.unlink()
            return None
        touch(path)
        return bytes(contents)

    def write(self, kind: str, key: str, contents: bytes) -> None:
        """Store an entry, or note in `problem` why that is not possible."""
        path = self.folder / kind / key
        scratch = path.with_name(f".{key}-{secrets.token_hex(8)}")
        try:
            if path.exists() and not os.access(path, os.R_OK):
                return  # `read` has said so
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("xb") as file:  # not `tempfile`, whose files are for one user only
                file.write(hashlib.sha256(contents).digest() + contents)
            scratch.replace(path)
        except OSError as error:
            self.problem = (
                "the cache cannot be written, so the next build takes as long again: "
                f"{self.folder}: {error.strerror or error}"
            )
            with suppress(OSError):
                scratch.unlink()

    @contextmanager
    def alone(self, kind: str) -> Iterator[None]:
        """While the block runs, other processes wait that want to make entries of `kind`; they find them afterwards.

        Several builds on a new machine would all compile the same otherwise. Where the cache cannot be locked, nobody
        waits, and each makes its own.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / f"{kind}.lock")
        with suppress(OSError, NotImplementedError, Timeout):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.waiting("waiting for another build, which makes what this one needs")
                lock.acquire(timeout=LOCK_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def obtain(self, kind: str, key: str, make: Callable[[], bytes]) -> bytes:
        """The contents of an entry, which is made and stored when there is none."""
        found = self.read(kind, key)
        if found is not None:
            return found
        with self.alone(kind):
            found = self.read(kind, key)
            if found is None:
                found = make()
                self.write(kind, key, found)
            return found


def touch(entry: Path) -> None:
    """Note that an entry was used, for `evict`; a cache that cannot be written forgets it."""
    with suppress(OSError):
        os.utime(entry)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `used` is the time of its last use, in seconds since 1970."""

    kind: str
    path: Path
    size: int
    used: float


def entries(folder: Path) -> list[Entry]:
    """Everything in the cache, what was used longest ago first. Remains of interrupted builds are entries too."""
    found = []
    for path in folder.glob("*/*"):
        with suppress(OSError):  # another process has just removed it
            status = path.stat()
            size = _size_of_folder(path) if path.is_dir() else status.st_size
            found.append(Entry(path.parent.name, path, size, status.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def _size_of_folder(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def evict(folder: Path, limit: int, in_use_since: float) -> list[Entry]:
    """Remove entries until all take at most `limit` bytes; what was used after `in_use_since` stays."""
    found = entries(folder)
    total = sum(entry.size for entry in found)
    removed = []
    for entry in found:
        if total <= limit or entry.used >= in_use_since:
            break
        if remove(entry):
            total -= entry.size
            removed.append(entry)
    return removed


def remove(entry: Entry) -> bool:
    """Remove an entry; whether it is gone."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with suppress(OSError):
            entry.path.unlink()
    return not entry.path.exists()


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that becomes `final` when the block ends without an error, replacing what was there.

    Two processes may do this at once: each makes its own, and the last one stays.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder as `final`, so that it is the same file system and the rename is atomic.
    with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent, ignore_cleanup_errors=True) as room:
        fresh = Path(room) / "new"
        fresh.mkdir()
        yield fresh
        try:
            fresh.rename(final)
        except OSError:
            # `final` exists and is not empty: only an empty folder can be renamed over.
            shutil.rmtree(final, ignore_errors=True)
            fresh.rename(final)
