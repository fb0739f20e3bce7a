"""`pwasm cache`"""

from __future__ import annotations

from collections.abc import Iterable

import click

from pwasm_compiler.cache import Entry, cache_dir, cache_limit, entries, remove
from pwasm_compiler.console import say, say_document
from pwasm_compiler.errors import ToolError

KINDS = {
    "bytecode": "sources compiled for the Python inside the module",
    "code": "linked code, per set of callbacks",
    "dependencies": "packages installed by pip",
    "machine": "the build-time Python, compiled for this machine",
    "tested": "modules built by pwasm test",
    "wasmtime": "modules run by pwasm test, compiled for this machine",
    "wheels": "wheels built from sdists",
}


@click.command(short_help="Show or clear what is kept for later builds.")
@click.argument("action", type=click.Choice(["show", "clear"]), default="show")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def cache(action: str, as_json: bool) -> None:
    """Show or clear what pwasm caches for later builds.

    Everything in the cache can be recreated; without it, the next build takes a few seconds longer.

    \b
      $PWASM_CACHE_DIR      the cache folder (default: pwasm in the user's cache folder)
      $PWASM_CACHE_LIMIT    its maximum size in MiB (default 1024)

    If a build makes the cache larger than that, the least recently used entries are evicted.
    """
    folder, limit = cache_dir(), cache_limit()
    found = entries(folder)
    if action == "clear":
        _clear(found, as_json)
    elif as_json:
        say_document({"folder": str(folder), "limit": limit, "size": _size(found), "kinds": _kinds(found)})
    else:
        say(f"{folder}: {_mib(_size(found))} of at most {_mib(limit)}")
        for kind, summary in _kinds(found).items():
            what = KINDS.get(kind, "")
            say(f"  {kind:<13}{summary['entries']:>4} {_mib(summary['size']):>12}  {what}".rstrip())


def _clear(found: list[Entry], as_json: bool) -> None:
    stuck = [entry for entry in found if not remove(entry)]
    freed = _size(found) - _size(stuck)
    removed = f"{len(found) - len(stuck)} entries, {_mib(freed)}"
    if stuck:  # with --json, the error is the one document
        what, hint = f"cannot remove {stuck[0].path}", "check the permissions of its folder"
        raise ToolError(what, why=f"Removed before that: {removed}.", hint=hint)
    if as_json:
        say_document({"freed": freed, "left": []})
    else:
        say(f"removed {removed}")


def _kinds(found: Iterable[Entry]) -> dict[str, dict[str, int]]:
    kinds: dict[str, dict[str, int]] = {}
    for entry in sorted(found, key=lambda entry: entry.kind):
        summary = kinds.setdefault(entry.kind, {"entries": 0, "size": 0})
        summary["entries"] += 1
        summary["size"] += entry.size
    return kinds


def _size(found: Iterable[Entry]) -> int:
    return sum(entry.size for entry in found)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
