"""What the Envoys of the random runs have in common: their other filters, and how they are started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pwasm.testing import ExtAuthz, LuaBody
from pwasm.testing.worlds.envoy_filters import filters_of
from pwasm_compiler.envoy.kinds import typed
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy

_LUA = "envoy.extensions.filters.http.lua.v3.Lua"


class World(Protocol):
    """The servers around an Envoy."""

    def config(self) -> dict[str, Any]:
        """The bootstrap."""

    def on_log(self, record: LogRecord) -> None:
        """Look at a record of Envoy's log."""

    def attach(self, envoy: Envoy) -> None:
        """Envoy runs."""

    def close(self) -> None:
        """Stop the servers."""


_World = TypeVar("_World", bound=World)


@contextmanager
def running(world: _World, executable: Path | None, *, workers: int = 1) -> Iterator[_World]:
    """The world with its Envoy; both are stopped at the end."""
    try:
        with Envoy(
            world.config(),
            executable=executable,
            on_log=world.on_log,
            concurrency=workers,
            keep_log=2000,
            ready_timeout=600,
            arguments=("--drain-time-s", "0"),
        ) as envoy:
            world.attach(envoy)
            yield world
    finally:
        world.close()


def neighbours(lua: str) -> dict[str, list[Any]]:
    """Other filters by name; they ask the clusters "gate" and "grpc". `lua` is the code of the one of that name."""
    scripted = {
        "name": "envoy.filters.http.lua",
        "typed_config": typed(_LUA, default_source_code={"inline_string": lua}),
    }
    return {
        "authz": filters_of([ExtAuthz("gate")]),
        "grpc": filters_of([ExtAuthz("grpc", grpc=True)]),
        "lua": [scripted],
        "body": filters_of([LuaBody(True, True)]),
    }
