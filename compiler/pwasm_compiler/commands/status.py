"""`pwasm status`"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.console import complete_files, say, say_document
from pwasm_compiler.envoy import admin
from pwasm_compiler.envoy import status as report
from pwasm_compiler.envoy.log_hints import Found, explain
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.files import MODULE_LIMIT, read_text

DEFAULT_ADMIN = "http://127.0.0.1:9901"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command(short_help="Show the Wasm filters of a running Envoy.")
@click.option("--admin", "url", metavar="URL", help=f"Envoy's admin interface (default {DEFAULT_ADMIN}).")
@click.option("--dump", type=click.Path(path_type=Path), metavar="FILE", help="Read a saved /config_dump instead.")
@click.option(
    "--log",
    metavar="FILE",
    shell_complete=complete_files,
    help="Explain the messages in a log of Envoy, Istio or Envoy Gateway (- is standard input).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def status(url: str | None, dump: Path | None, log: str | None, as_json: bool) -> None:
    """Show the Wasm filters of a running Envoy, and explain their problems.

    \b
      pwasm status                                        an Envoy started by pwasm run
      kubectl port-forward deploy/httpbin 15000 & pwasm status --admin http://127.0.0.1:15000
      kubectl logs deploy/httpbin -c istio-proxy | pwasm status --log -

    Each filter is shown with its listener, the routes it runs on if routes decide that, runtime, code source and
    SHA-256, the number of VMs if Envoy reports it, how often a crashed VM was reloaded, and rejected updates. Code that
    Istio's agent fetched is known by the digest of its image.

    Istio's proxies do not report rejected updates of a filter: add their log with --log. With --log alone, Envoy is not
    contacted; each explanation names the products whose message it is.

    Only read-only pages are requested.
    """
    if url is not None and dump is not None:
        raise UsageError("--admin and --dump are mutually exclusive")
    found = None
    explained = _explained(log) if log is not None else []
    if url is not None or dump is not None or log is None:
        found = _from_file(dump, explained) if dump is not None else _from_admin(url or DEFAULT_ADMIN, explained)
    if as_json:
        document: dict[str, Any] = report.to_json(found) if found is not None else {}
        if log is not None:
            document["log"] = [_found_to_json(item) for item in explained]
        say_document(document)
        return
    if found is not None:
        say(report.render(found))
    if log is not None:
        say(_render_log(explained))


def _from_admin(url: str, log: list[Found]) -> report.Status:
    host = admin.check_url(url)[1]
    return report.status(url, admin.config_dump(url), admin.stats(url), local=host in _LOOPBACK, log=log)


def _from_file(file: Path, log: list[Found]) -> report.Status:
    try:
        document = json.loads(
            read_text(file, MODULE_LIMIT, hint="save one with: curl http://127.0.0.1:9901/config_dump")
        )
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{file} is not a config_dump", why="It is not JSON.") from error
    if not isinstance(document, dict) or not isinstance(document.get("configs"), list):
        raise ProjectError(f"{file} is not a config_dump", why="It has no 'configs'.")
    return report.status(str(file), document, {}, log=log)


def _explained(log: str) -> list[Found]:
    if log == "-":
        return explain(line.decode("utf-8", "replace") for line in sys.stdin.buffer)
    try:
        with Path(log).open(encoding="utf-8", errors="replace") as lines:
            return explain(lines)
    except FileNotFoundError as error:
        raise UsageError(f"{log}: no such file or directory") from error


def _render_log(found: Iterable[Found]) -> str:
    lines = []
    for item in found:
        times = f" ({item.count} times)" if item.count > 1 else ""
        lines += [f"{item.explanation.meaning}{times}", f"  log        {_printable(item.excerpt)}"]
        if item.effect is not None:
            lines.append(f"  effect     {item.effect.meaning}")
        lines += [f"  hint       {item.explanation.hint}", f"  product    {item.explanation.read_in}", ""]
    return "\n".join(lines).rstrip() or "no known message in the log"


def _printable(text: str) -> str:
    """A log contains what clients sent; a terminal must not act on it."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _found_to_json(item: Found) -> dict[str, Any]:
    return {
        "line": item.line,
        "excerpt": item.excerpt,
        "count": item.count,
        "meaning": item.explanation.meaning,
        "effect": None if item.effect is None else item.effect.meaning,
        "hint": item.explanation.hint,
        "products": item.explanation.read_in,
    }
