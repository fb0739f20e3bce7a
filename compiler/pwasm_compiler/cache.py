"""The cache: what pwasm may throw away, written atomically.

    <cache>/<kind>/<key>    a file that starts with the SHA-256 of the rest, or a folder

Keys are digests of everything an entry depends on, so an entry is never stale; a damaged one is ignored and removed.
A cache that cannot be written is not an error, the build works without it. When all entries together exceed the
limit, the least recently used are evicted first.

Several users may share a folder: files get the permissions of the umask, and an entry that is not readable by others
is neither used nor replaced. The users have to trust one another, for entries hold machine code.
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
"""The longest wait for others. Correctness does not depend on it; it only avoids doing work twice."""
_DIGEST = hashlib.sha256().digest_size


def cache_dir() -> Path:
    """$PWASM_CACHE_DIR, else `pwasm` in the user's cache folder. It need not exist."""
    explicit = os.environ.get("PWASM_CACHE_DIR")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and must be ignored.
    return (Path(base) if Path(base).is_absolute() else _home() / ".cache") / "pwasm"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # no $HOME and no passwd entry for this uid, as in a container
        return Path("/nonexistent")


def cache_limit() -> int:
    """Total size limit in bytes, from $PWASM_CACHE_LIMIT in MiB.

    Raises:
        UsageError: it is not a non-negative integer.
    """
    text = os.environ.get("PWASM_CACHE_LIMIT", "")
    if text and not (text.isascii() and text.isdigit()):
        raise UsageError(f"PWASM_CACHE_LIMIT is {text!r}", why="It must be a non-negative integer (MiB).")
    return int(text or DEFAULT_LIMIT_MIB) << 20


@dataclass
class Cache:
    """The cache, as seen by one build."""

    folder: Path = field(default_factory=cache_dir)
    waiting: Callable[[str], None] = lambda _message: None
    """Called when the build has to wait for another process."""
    problem: str = ""
    """What failed, in the words of a warning."""

    def read(self, kind: str, key: str) -> bytes | None:
        """The contents of an entry, or None if it is missing or damaged."""
        path = self.folder / kind / key
        try:
            stored = path.read_bytes()
        except PermissionError as error:  # it belongs to another user
            self.problem = f"cannot read a cache entry, so builds will not get faster: {path}: {error.strerror}"
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
        """Store an entry, or record in `problem` why that failed."""
        path = self.folder / kind / key
        scratch = path.with_name(f".{key}-{secrets.token_hex(8)}")
        try:
            if path.exists() and not os.access(path, os.R_OK):
                return  # already reported by `read`
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("xb") as file:  # not `tempfile`, whose files only their owner can read
                file.write(hashlib.sha256(contents).digest() + contents)
            scratch.replace(path)
        except OSError as error:
            self.problem = (
                "cannot write the cache, so the next build will not be faster: "
                f"{self.folder}: {error.strerror or error}"
            )
            with suppress(OSError):
                scratch.unlink()

    @contextmanager
    def alone(self, kind: str) -> Iterator[None]:
        """While the block runs, other processes that want to make entries of `kind` wait, and find them afterwards.

        Otherwise several builds on a new machine would all compile the same thing. If the cache cannot be locked,
        nobody waits, and each process makes its own.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / f"{kind}.lock")
        with suppress(OSError, NotImplementedError, Timeout):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.waiting("waiting for another build that is preparing the same files")
                lock.acquire(timeout=LOCK_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def obtain(self, kind: str, key: str, make: Callable[[], bytes]) -> bytes:
        """The contents of an entry, made and stored first if it is missing."""
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
    """Record that an entry was used, for `evict`; has no effect on a read-only cache."""
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
    """Everything in the cache, least recently used first. Remains of interrupted builds count as entries."""
    found = []
    for path in folder.glob("*/*"):
        with suppress(OSError):  # removed by another process meanwhile
            status = path.stat()
            size = _size_of_folder(path) if path.is_dir() else status.st_size
            found.append(Entry(path.parent.name, path, size, status.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def _size_of_folder(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def evict(folder: Path, limit: int, in_use_since: float) -> list[Entry]:
    """Remove entries until the rest fit in `limit` bytes; those used after `in_use_since` are kept."""
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
    """Remove an entry; returns whether it is gone."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with suppress(OSError):
            entry.path.unlink()
    return not entry.path.exists()


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A temporary folder that replaces `final` when the block ends without an error.

    Two processes may do this at once: each makes its own, and the last one wins.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder as `final`, so that both are on one file system and the rename is atomic.
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
