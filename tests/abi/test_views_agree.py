"""Every view of the ABI in the SDK agrees with the tables in `_abi`."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from pwasm import _abi
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._protocols import Host, Plugin
from pwasm._stream.phases import PHASES
from pwasm.testing import HostEmulator
from pwasm.types import HttpContext, PluginContext, TcpContext, VMContext

PYTHON_OF_KIND = {
    "u32": int,
    "i32": int,
    "i64": int,
    "u64": int,
    "bool": bool,
    "action": int,
    "bytes": bytes,
    "text": str | bytes,
}


def protocol_methods(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if name.startswith("proxy_")]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def test_protocols_have_a_method_for_each_row_in_order() -> None:
    assert protocol_methods(Host) == [row.name for row in _abi.HOSTCALLS]
    assert protocol_methods(Plugin) == [row.name for row in _abi.CALLBACKS]


@pytest.mark.parametrize("row", _abi.HOSTCALLS, ids=lambda row: row.name)
@pytest.mark.parametrize("host", [Host, HostEmulator], ids=["protocol", "emulator"])
def test_hostcall(row: _abi.Hostcall, host: type) -> None:
    function = getattr(host, row.name)
    assert parameters(function) == _abi.names(row.params)
    assert all(p.kind is p.POSITIONAL_ONLY for p in inspect.signature(function).parameters.values() if p.name != "self")
    hints = get_type_hints(function)
    assert [hints[name] for name in _abi.names(row.params)] == [PYTHON_OF_KIND[k] for k in _abi.kinds(row.params)]
    results = (int, *(PYTHON_OF_KIND[kind] for kind in _abi.kinds(row.results)))
    assert (get_args(hints["return"]) or (hints["return"],)) == results


@pytest.mark.parametrize("row", _abi.CALLBACKS, ids=lambda row: row.name)
def test_callback(row: _abi.Callback) -> None:
    function = getattr(Plugin, row.name)
    assert parameters(function) == _abi.names(row.params)
    hints = get_type_hints(function)
    assert [hints[name] for name in _abi.names(row.params)] == [PYTHON_OF_KIND[k] for k in _abi.kinds(row.params)]
    assert hints["return"] == (PYTHON_OF_KIND[row.result] if row.result else type(None))


@pytest.mark.parametrize("row", _abi.CALLBACKS, ids=lambda row: row.name)
def test_dispatcher_implements(row: _abi.Callback) -> None:
    signature = inspect.signature(getattr(Dispatcher, row.name))
    signature.bind(None, *range(len(_abi.names(row.params))))


@pytest.mark.parametrize("row", _abi.CALLBACKS, ids=lambda row: row.name)
def test_each_callback_reaches_a_documented_method(row: _abi.Callback) -> None:
    phase = PHASES[row.name]
    if phase.method.startswith("__"):
        return
    owners = [base for base in (VMContext, PluginContext, HttpContext, TcpContext) if hasattr(base, phase.method)]
    assert owners
    method = getattr(owners[0], phase.method)
    assert method.__doc__
    if row.name not in {"proxy_on_log"}:
        assert len(parameters(method)) == len(_abi.names(row.params)) - 1 or row.name == "proxy_on_done"
    assert list(PHASES) == [row.name for row in _abi.CALLBACKS]
