"""`pwasm bench`"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.bench.load import CONNECTIONS, Request
from pwasm_compiler.bench.measure import measure
from pwasm_compiler.bench.render import render
from pwasm_compiler.bench.target import CLIENTS, Options
from pwasm_compiler.commands.build import backend_option
from pwasm_compiler.commands.run import build_for_run
from pwasm_compiler.console import complete_files
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import read_bytes
from pwasm_compiler.progress import Progress

_TARGET = re.compile(r"/[!-~]*")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = _METHOD
_POSITIVE = click.IntRange(1)


@click.command(short_help="Measure what a filter costs: time, memory, load.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--rounds", type=_POSITIVE, default=5, metavar="N", help="Rounds with and without (default 5).")
@click.option("--seconds", type=_POSITIVE, default=2, metavar="N", help="Seconds of load in a round (default 2).")
@click.option(
    "--requests", type=_POSITIVE, metavar="N", help="End a round after N requests too; with pwasm's own client."
)
@click.option(
    "--connections",
    type=click.IntRange(1, 1000),
    default=CONNECTIONS,
    metavar="N",
    help=f"Connections of the client, each with one request at a time (default {CONNECTIONS}).",
)
@click.option("--concurrency", type=_POSITIVE, default=1, metavar="N", help="Envoy's worker threads (default 1).")
@click.option("-X", "--method", metavar="METHOD", help="Method of the request (default GET, with --body POST).")
@click.option("--target", default="/", metavar="/TARGET", help="Path and query of the request (default /).")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@click.option("--body", type=click.Path(path_type=Path), metavar="FILE", help="The request's body.")
@click.option("--upstream", metavar="HOST:PORT", help="Pass the requests on to HOST:PORT; else Envoy itself answers.")
@click.option(
    "--plugin-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The filter's own configuration (YAML, JSON or text).",
)
@click.option(
    "--client",
    type=click.Choice(CLIENTS),
    metavar="CLIENT",
    help="What makes the load: wrk, or python, pwasm's own (default: wrk if it is on PATH).",
)
@click.option("--envoy", metavar="PROGRAM", shell_complete=complete_files, help="The Envoy to start.")
@backend_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def bench(
    method: str | None,
    target: str,
    headers: tuple[str, ...],
    body: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure what the filter at PATH adds to a request in a real Envoy.

    PATH is a folder with a filter in Python or Go, a single .py file, or a built module (.wasm) in any language; the
    default is the current folder. The filter is built if needed. Envoy's configuration is generated, the filter's
    envoy.yaml is not used.

    One Envoy with the filter and one without it are started, and loaded in alternation with one request, again and
    again. Each figure is the median of the rounds, with what the filter adds, round by round. The report has:

    \b
      time per request   what the filter adds is given only where wrk saturates one worker
      processor time     of the whole Envoy, per request; does not contain waiting
      start of Envoy     until it is ready: the filter is compiled, its plugin is started
      memory             resident, after the start; of each further worker; grown under load
      callbacks          time in each callback with its hostcalls, in Envoy's V8: a copy of
                         the module reads Envoy's clock before and after each (what reading
                         it takes is taken off)

    Answers outside 200 to 399 are counted and reported, for a filter may mean them.

    wrk saturates an Envoy; without it on PATH a client of pwasm is used, which is several times slower. The figures
    are those of this machine at this moment: close what else runs, and compare only what one run has measured. Reading
    memory and processor time needs Linux.
    """
    content = None if body is None else read_bytes(body)
    request = Request(_method(method, content), _target(target), _headers(headers), content)
    with Progress() as progress:
        report = measure(Options(request=request, **options), build_for_run, progress)
    click.echo(json.dumps(dataclasses.asdict(report), indent=2) if as_json else render(report))


def _method(method: str | None, body: bytes | None) -> str:
    if method is None:
        return "GET" if body is None else "POST"
    if not _METHOD.fullmatch(method):
        raise UsageError(f"'{method}' is no method", hint="write one word, for example GET")
    return method


def _target(target: str) -> str:
    if not _TARGET.fullmatch(target):
        raise UsageError(f"'{target}' is no target of a request", hint="begin with / and write spaces as %20")
    return target


def _headers(lines: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise UsageError(f"'{line}' is no header", hint="write NAME: VALUE")
        headers[name.lower()] = value.strip()
    return headers
