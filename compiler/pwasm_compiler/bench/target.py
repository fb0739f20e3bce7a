"""What is measured: the options of `pwasm bench`, and the module they refer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pwasm_compiler.envoy.module import read_module
from pwasm_compiler.errors import ProjectError, ToolError, UsageError
from pwasm_compiler.project import Project, is_stale, load_project

from .load import CONNECTIONS, LoadResult, Request, find_wrk, run_client, run_wrk

CLIENTS = ("wrk", "python")
Run = Callable[[str], LoadResult]
"""One round of load on the server at this URL."""


@dataclass(frozen=True)
class Options:
    """What is measured, and how much of it."""

    path: Path
    request: Request = field(default_factory=Request)
    rounds: int = 5
    seconds: int = 2
    requests: int | None = None
    """A round ends after this many, if its seconds are not over before; requires the client "python"."""
    connections: int = CONNECTIONS
    concurrency: int = 1
    client: str | None = None
    upstream: str | None = None
    plugin_config: Path | None = None
    envoy: str | None = None
    backend: str | None = None


@dataclass(frozen=True)
class Target:
    """A built module, and Envoy's working directory."""

    root: Path
    module: Path
    name: str
    size: int
    need: str | None = None
    """What it needs of Envoy about holding headers (see `pwasm_compiler.held_headers`)."""


def choose_client(options: Options) -> tuple[Run, str]:
    """The load generator, and its name.

    Raises:
        ToolError: wrk was requested but is not installed.
        UsageError: wrk was requested for what it cannot do.
    """
    wrk = find_wrk()
    client = options.client or ("python" if options.requests is not None or wrk is None else "wrk")
    if client == "wrk" and wrk is None:
        raise ToolError("wrk is not on PATH", hint="install it, or omit --client to use pwasm's own client")
    if client == "wrk" and options.requests is not None:
        raise UsageError("wrk cannot limit the number of requests", hint="omit --requests or --client wrk")
    if client == "wrk":
        return lambda server: run_wrk(server, options.request, options.seconds, options.connections), client
    limit = options.requests
    return lambda server: run_client(server, options.request, options.seconds, options.connections, limit), client


def find_target(options: Options, build: Callable[[Project], object]) -> Target:
    """The module at the path, built with `build` if needed.

    Raises:
        UsageError: the path does not exist.
        ProjectError: it is not an HTTP filter.
    """
    path = options.path
    if path.suffix == ".wasm":
        if not path.is_file():
            raise UsageError(f"{path}: no such file or directory", hint="create it with: pwasm build")
        root, module, name = path.parent.resolve(), path.resolve(), path.stem
    else:
        project = load_project(path, options.backend)
        if is_stale(project):
            build(project)
        root, module, name = project.root, project.output, project.name
    found = read_module(module)
    kind = found.kind
    if kind != "http":
        raise ProjectError(
            f"{name} is not an HTTP filter",
            why="It is a TCP filter, but pwasm bench sends HTTP requests."
            if kind == "tcp"
            else "It has no callback for requests or responses, so it adds nothing to a request.",
            hint="run it with: pwasm run",
        )
    return Target(root, module, name, module.stat().st_size, found.need())
