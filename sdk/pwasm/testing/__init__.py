"""Unit tests for filters without a proxy.

    from pwasm.testing import HostEmulator

    def test_header():
        response = HostEmulator(AddHeader).request("GET", "/one")
        assert response.headers["x-wasm-custom"] == "FOO"

This package is never part of main.wasm.
"""

from .callouts import GrpcCall, HttpCall
from .emulator import EnvoyCrash, HostEmulator
from .headers import Headers
from .messages import REFUSED, RESET, SILENCE, Answer, Request, Response
from .shared import Process
from .streams import HttpStream, LocalResponse, TcpStream, UpstreamResponse
from .world import Plugin, Setup, World

__all__ = [
    "REFUSED",
    "RESET",
    "SILENCE",
    "Answer",
    "EnvoyCrash",
    "GrpcCall",
    "Headers",
    "HostEmulator",
    "HttpCall",
    "HttpStream",
    "LocalResponse",
    "Plugin",
    "Process",
    "Request",
    "Response",
    "Setup",
    "TcpStream",
    "UpstreamResponse",
    "World",
]
