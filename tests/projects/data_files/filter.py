"""Answers with what one way to read a data file gives; tests/wasm/test_data_files.py has the ways."""

from __future__ import annotations

import glob
import importlib.resources
import io
import linecache
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path

import pwasm
from pwasm import Action

HERE = Path(__file__).parent
TABLE_PATH = str(HERE / "table.json")
AT_BUILD = (HERE / "table.json").read_text()
RESOURCES = importlib.resources.files(__name__)


def as_file() -> str:
    """What needs a real path."""
    with importlib.resources.as_file(RESOURCES / "table.json") as path:
        return path.read_text()


WAYS: dict[str, Callable[[], object]] = {
    "at_build": lambda: AT_BUILD,
    "get_data": lambda: pkgutil.get_data(__name__, "table.json"),
    "resource": lambda: (RESOURCES / "table.json").read_text(),
    "resource_of_a_package": lambda: (importlib.resources.files("pkg") / "inside.txt").read_text(),
    "resource_of_a_folder": lambda: (importlib.resources.files("i18n") / "de.txt").read_text(),
    "as_file": as_file,
    "open": lambda: open(HERE / "table.json").read(),
    "open_bytes": lambda: open(f"{HERE}/i18n/de.txt", "rb").read(),
    "io_open": lambda: io.open(HERE / "i18n" / "de.txt").readlines(),  # noqa: UP020
    "resolved": lambda: (Path(__file__).resolve().parent / "pkg" / ".." / "table.json").read_bytes(),
    "exists": lambda: [(HERE / name).exists() for name in ("table.json", "i18n", "pkg", "not" + "es.txt")],
    "kinds": lambda: [(HERE / name).is_file() for name in ("table.json", "i18n")],
    "size": lambda: os.path.getsize(HERE / "table.json"),
    "listed": lambda: os.listdir(HERE),
    "iterated": lambda: [path.name for path in (HERE / "i18n").iterdir()],
    "globbed": lambda: [path.name for path in sorted(HERE.rglob("*.tx?"))],
    "glob": lambda: [Path(path).name for path in sorted(glob.glob(f"{HERE}/*/*.tx?"))],
    "walked": lambda: [(Path(top).name, folders, files) for top, folders, files in os.walk(HERE / "i18n")],
    "named": lambda: [(Path(file.name).name, file.mode) for file in (open(TABLE_PATH), open(TABLE_PATH, "rb"))],
    "peeked": lambda: open(TABLE_PATH, "rb").peek(2)[:2],
    "sought": lambda: [(file.seek(-3, 2), file.read(), file.tell()) for file in [open(TABLE_PATH, "rb")]],
    "unbuffered": lambda: open(TABLE_PATH, "rb", 0).read(3),
    "code": lambda: io.open_code(TABLE_PATH).read(),
    "line": lambda: linecache.getline(TABLE_PATH, 1),
    "access": lambda: [os.access(TABLE_PATH, mode) for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)],
    "modified": lambda: os.stat(TABLE_PATH).st_mtime_ns,
    "descriptor": lambda: os.open(TABLE_PATH, os.O_RDONLY),
    "touched": lambda: (HERE / "table.json").touch(),
    "written": lambda: (HERE / "table.json").write_text("x"),
    "missing": lambda: (HERE / "gone.json").read_text(),
    "folder": lambda: (HERE / "i18n").read_text(),
    "elsewhere": lambda: Path("/etc/passwd").read_text(),
    "listed_elsewhere": lambda: os.listdir("/etc"),
}


class Reads(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        way = (pwasm.get_http_request_header(":path") or "").strip("/")
        try:
            answer = repr(WAYS[way]())
        except OSError as error:
            answer = f"{type(error).__name__}: {error.strerror}"
        pwasm.send_http_response(200, body=answer)
        return Action.PAUSE


pwasm.set_http_context(Reads)
