"""Where pwasm keeps what it may throw away, and how a folder gets there: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """$PWASM_CACHE_DIR, else `pwasm` in the user's cache folder. It may not exist yet."""
    explicit = os.environ.get("PWASM_CACHE_DIR")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and must be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "pwasm"


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
