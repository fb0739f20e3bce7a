"""Calls inside a callback of a filter in the emulator, where most functions of the SDK may be called only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pwasm
from pwasm.testing import HostEmulator, HttpStream


@dataclass(frozen=True)
class Ran:
    """The outcome of a call: its result, or the exception it raised."""

    outcome: Any
    stream: HttpStream
    host: HostEmulator


def run_in_request(
    call: Callable[[], Any],
    at: str = "on_http_request_headers",
    set_up: Callable[[HostEmulator], None] = lambda host: None,
    **request: Any,
) -> Ran:
    """Call in a callback of a request."""
    outcomes: list[Any] = []
    filter_class = type("Filter", (pwasm.HttpContext,), {at: lambda self, *_: outcomes.append(_outcome(call))})
    host = HostEmulator(filter_class, root_id="r", vm_id="v", plugin_name="n")
    set_up(host)
    stream = host.request(**request)
    return Ran(outcomes[0], stream, host)


def in_request(call: Callable[[], Any], at: str = "on_http_request_headers", **options: Any) -> Any:
    """The result of `call` there; its exceptions are raised."""
    return _returned(run_in_request(call, at, **options).outcome)


def in_plugin(call: Callable[[], Any], **options: Any) -> tuple[Any, HostEmulator]:
    """The result of `call` in on_plugin_start; its exceptions are raised."""
    outcomes: list[Any] = []
    methods = {"on_plugin_start": lambda self, size: outcomes.append(_outcome(call))}
    host = HostEmulator(type("Plugin", (pwasm.PluginContext,), methods), **options)
    return _returned(outcomes[0]), host


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except BaseException as error:
        return error


def _returned(outcome: Any) -> Any:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
