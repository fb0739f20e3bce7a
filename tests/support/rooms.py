"""Which tests belong to which room of the source: `python -m tests.support.rooms [ROOM]` prints the table, or a row.

A room's own tests are in the folder of its name. Beside them stand tests that see the room at work: in a module, in a
real Envoy, or against chance. `make test-room ROOM=link` runs both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

SOURCES = {
    "sdk/pwasm": "tests/sdk",
    "runtime-shim/pwasm_shim": "tests/shim",
    "compiler/pwasm_compiler": "tests/compiler",
}
"""Folder of sources → the folder of tests that mirrors it."""
BESIDE = {
    "sdk/pwasm": ("tests/abi", "tests/wasm", "tests/envoy", "tests/conformance", "tests/fuzz/test_codecs.py"),
    "sdk/pwasm/_stream": ("tests/envoy/test_resume.py", "tests/envoy/test_faults.py"),
    "sdk/pwasm/_async": ("tests/wasm/test_aio.py", "tests/envoy/test_aio.py", "tests/envoy/test_callouts.py"),
    "sdk/pwasm/_config": ("tests/envoy/test_config.py", "tests/envoy/test_rules.py"),
    "sdk/pwasm/_hostcalls": (
        "tests/envoy/test_http_hostcalls.py",
        "tests/envoy/test_host.py",
        "tests/envoy/test_plugins.py",
        "tests/envoy/test_tcp.py",
        "tests/fuzz/test_codecs.py",
    ),
    "sdk/pwasm/_dispatch": ("tests/shim/test_hot_path.py", "tests/fuzz/test_lifecycle.py"),
    "sdk/pwasm/_guest": ("tests/wasm/test_guest_python.py", "tests/envoy/test_randomness.py"),
    "sdk/pwasm/testing/emulator": ("tests/conformance", "tests/fuzz/test_lifecycle.py"),
    "runtime-shim/pwasm_shim": ("tests/abi", "tests/wasm", "tests/envoy/test_faults.py"),
    "compiler/pwasm_compiler/wasm": ("tests/fuzz/test_replay.py",),
    "compiler/pwasm_compiler/component": ("tests/fuzz/test_replay.py",),
    "compiler/pwasm_compiler/link": (
        "tests/fuzz/test_smith.py",
        "tests/envoy/test_trim.py",
        "tests/envoy/test_inlining.py",
    ),
    "compiler/pwasm_compiler/guest": ("tests/sdk/_guest", "tests/wasm/test_guest_python.py"),
    "compiler/pwasm_compiler/build": ("tests/test_package.py",),
    "compiler/pwasm_compiler/build/dependencies": ("tests/tools",),
    "compiler/pwasm_compiler/bench": ("tests/bench",),
    "compiler/pwasm_compiler/envoy": ("tests/envoy/test_tutorial.py", "tests/fuzz/test_replay.py"),
    "compiler/pwasm_compiler/oci": ("tests/fuzz/test_replay.py",),
    "filters": ("tests/filters", "filters"),
}
"""Room → the tests beside its own."""
NO_ROOMS = {"inside", "templates", "passes", "backends", "src"}
"""Folders that belong to the room around them."""


def rooms() -> Iterator[str]:
    """Every room, from the top."""
    for source in SOURCES:
        yield source
        for folder in sorted(path for path in (ROOT / source).rglob("*") if (path / "__init__.py").is_file()):
            if NO_ROOMS.isdisjoint(folder.relative_to(ROOT / source).parts):
                yield str(folder.relative_to(ROOT))
    yield "filters"


def tests_of(room: str) -> list[str]:
    """Files and folders; the room's own folder first, if it has one."""
    source = next((source for source in SOURCES if f"{room}/".startswith(f"{source}/")), "")
    own = room.replace(source, SOURCES[source]) if source else ""
    return [*([own] if own and (ROOT / own).is_dir() else []), *BESIDE.get(room, ())]


def named(name: str) -> list[str]:
    """The rooms that are meant by a path, or by its end; `async` is `_async`."""
    wanted = Path(name.rstrip("/")).parts
    return [room for room in rooms() if _plain(Path(room).parts)[-len(wanted) :] == _plain(wanted)]


def _plain(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.removeprefix("_") for part in parts)


def table() -> str:
    """As Markdown."""
    rows = [f"| `{room}` | {', '.join(f'`{test}`' for test in tests_of(room))} |" for room in rooms()]
    return "\n".join(["| a change in | is seen by |", "|---|---|", *rows])


def main(arguments: list[str]) -> int:
    """Print what is asked for; 1 when there is no such room, or more than one."""
    if not arguments:
        print(table())
        return 0
    found = named(arguments[0])
    if len(found) != 1:
        print(
            f"{arguments[0]!r} is {' or '.join(found) or 'no room'}; there are: {', '.join(rooms())}", file=sys.stderr
        )
        return 1
    print(*tests_of(found[0]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
