"""Unit tests for filters without a proxy.

    from pwasm.testing import HostEmulator

    def test_header():
        response = HostEmulator(AddHeader).request("GET", "/one")
        assert response.headers["x-wasm-custom"] == "FOO"

This package is never part of main.wasm.
"""

from . import deadline
from .emulator.base import NeighbourCall
from .emulator.callouts import GrpcCall, HttpCall
from .emulator.headers import Headers
from .emulator.host import EnvoyCrash, HostEmulator
from .emulator.http_stream import HttpStream, UpstreamResponse
from .emulator.local import LocalResponse
from .emulator.neighbours import ExtAuthz, LuaBody, LuaCall, SlowUpstream, WasmFilter
from .emulator.shared import Process
from .emulator.tcp_stream import TcpStream
from .worlds.messages import REFUSED, RESET, SILENCE, Answer, Pause, Request, Response
from .worlds.world import Plugin, Setup, World

__all__ = [
    "REFUSED",
    "RESET",
    "SILENCE",
    "Answer",
    "EnvoyCrash",
    "ExtAuthz",
    "GrpcCall",
    "Headers",
    "HostEmulator",
    "HttpCall",
    "HttpStream",
    "LocalResponse",
    "LuaBody",
    "LuaCall",
    "NeighbourCall",
    "Pause",
    "Plugin",
    "Process",
    "Request",
    "Response",
    "Setup",
    "SlowUpstream",
    "TcpStream",
    "UpstreamResponse",
    "WasmFilter",
    "World",
    "deadline",
]
