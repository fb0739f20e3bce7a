"""`pwasm bench`"""

from __future__ import annotations

import dataclasses
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
from pwasm_compiler.console import complete_files, say, say_document
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import read_bytes
from pwasm_compiler.progress import Progress

_TARGET = re.compile(r"/[!-~]*")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = _METHOD
_POSITIVE = click.IntRange(1)


@click.command(short_help="Measure a filter's overhead: time, memory, startup.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--rounds", type=_POSITIVE, default=5, metavar="N", help="Rounds with and without the filter (default 5)."
)
@click.option("--seconds", type=_POSITIVE, default=2, metavar="N", help="Seconds of load per round (default 2).")
@click.option(
    "--requests", type=_POSITIVE, metavar="N", help="Also end a round after N requests; pwasm's own client only."
)
@click.option(
    "--connections",
    type=click.IntRange(1, 1000),
    default=CONNECTIONS,
    metavar="N",
    help=f"Client connections, each with one request in flight (default {CONNECTIONS}).",
)
@click.option("--concurrency", type=_POSITIVE, default=1, metavar="N", help="Envoy's worker threads (default 1).")
@click.option("-X", "--method", metavar="METHOD", help="Method of the request (default GET, with --body POST).")
@click.option("--target", default="/", metavar="/TARGET", help="Path and query of the request (default /).")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")
@click.option("--body", type=click.Path(path_type=Path), metavar="FILE", help="The request's body.")
@click.option("--upstream", metavar="HOST:PORT", help="Forward requests to HOST:PORT (default: Envoy answers).")
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
    help="Load generator: wrk, or python for pwasm's own (default: wrk if it is on PATH).",
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
    default is the current folder. The filter is built if needed. Envoy's configuration is generated; the filter's
    envoy.yaml is not used.

    pwasm starts one Envoy with the filter and one without, and sends the same request to both in alternation, again and
    again. Each figure is the median over the rounds; the filter's share is computed round by round. The report shows:

    \b
      time per request   the filter's share is given only if wrk saturates one worker
      processor time     of the whole Envoy, per request; excludes waiting
      start of Envoy     until it is ready: compiling the filter and starting its plugin
      memory             resident: after start, per additional worker, and growth under load
      callbacks          time in each callback including its hostcalls, in Envoy's V8: an
                         instrumented copy of the module reads Envoy's clock before and
                         after each (the overhead of reading it is subtracted)

    Responses with a status outside 200 to 399 are counted and reported; they are no error, the filter may intend them.

    wrk saturates an Envoy; if it is not on PATH, pwasm's own client is used, which is several times slower. The figures
    describe this machine at this moment: close other programs, and compare only figures of the same run. Memory and
    processor time can be read on Linux only.
    """
    content = None if body is None else read_bytes(body)
    request = Request(_method(method, content), _target(target), _headers(headers), content)
    with Progress() as progress:
        report = measure(Options(request=request, **options), build_for_run, progress)
    if as_json:
        say_document(dataclasses.asdict(report))
    else:
        say(render(report))


def _method(method: str | None, body: bytes | None) -> str:
    if method is None:
        return "GET" if body is None else "POST"
    if not _METHOD.fullmatch(method):
        raise UsageError(f"invalid method '{method}'", hint="use a single word, for example GET")
    return method


def _target(target: str) -> str:
    if not _TARGET.fullmatch(target):
        raise UsageError(f"invalid request target '{target}'", hint="start with / and write spaces as %20")
    return target


def _headers(lines: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or re.search(r"[\r\n\0]", value):
            raise UsageError(f"invalid header '{line}'", hint="write NAME: VALUE")
        headers[name.lower()] = value.strip()
    return headers
