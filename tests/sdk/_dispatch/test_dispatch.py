"""Contexts: when and from which classes they are created, and when they are removed."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

import pwasm
from pwasm import Action, LogLevel, PeerType
from pwasm._abi import CALLBACKS
from pwasm.testing import HostEmulator


def test_configurations_are_there_in_every_callback() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def note() -> None:
        seen.append((pwasm.get_vm_configuration(), pwasm.get_plugin_configuration()))

    class Vm(pwasm.VMContext):
        def on_vm_start(self, vm_configuration_size: int) -> None:
            assert vm_configuration_size == 2
            note()

    class Plugin(pwasm.PluginContext):
        def on_plugin_start(self, plugin_configuration_size: int) -> None:
            assert (self.configuration, self.vm.configuration) == (b"plug", b"vm")
            note()

    class Http(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            assert self.plugin.configuration == b"plug"
            note()

        def on_http_stream_done(self) -> None:
            note()

    host = HostEmulator(Vm, Plugin, Http, vm_configuration="vm", plugin_configuration="plug")
    assert host.started
    host.request()
    assert host.logs == []
    assert seen == [(b"vm", b""), (b"vm", b"plug"), (b"vm", b"plug"), (b"vm", b"plug")]


def test_no_configuration_is_empty() -> None:
    host = HostEmulator(pwasm.HttpContext)
    assert host.started
    assert (pwasm.get_vm_configuration(), pwasm.get_plugin_configuration()) == (b"", b"")


def test_several_plugins_share_one_vm() -> None:
    class Vm(pwasm.VMContext):
        made = 0
        starts = 0

        def __init__(self) -> None:
            Vm.made += 1

        def on_vm_start(self, vm_configuration_size: int) -> None:
            Vm.starts += 1

    class Http(pwasm.HttpContext):
        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
            pwasm.add_http_response_header("x-plugin", pwasm.get_plugin_configuration())

    host = HostEmulator(Vm, Http, plugin_configuration="one")
    host.plugin_configuration = b"two"
    assert host.start_plugin()
    assert (Vm.made, Vm.starts) == (1, 2)
    assert host.request(root_id=1).headers["x-plugin"] == "one"
    assert host.request(root_id=2).headers["x-plugin"] == "two"


class Http(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_request_header("x-seen", type(self).__name__)


class Special(Http):
    pass


class Tcp(pwasm.TcpContext):
    pass


class PluginOfVm(pwasm.PluginContext):
    pass


def test_overridden_factories_win() -> None:
    class Vm(pwasm.VMContext):
        def new_plugin_context(self, context_id: int) -> pwasm.PluginContext:
            return Plugin()

    class Plugin(pwasm.PluginContext):
        def new_http_context(self, context_id: int) -> pwasm.HttpContext:
            return Special()

    host = HostEmulator(Vm, PluginOfVm, Http)
    assert host.request().request_headers["x-seen"] == "Special"


def test_no_http_context_means_tcp() -> None:
    made: list[int] = []

    class Plugin(pwasm.PluginContext):
        def new_http_context(self, context_id: int) -> None:
            return None

        def new_tcp_context(self, context_id: int) -> pwasm.TcpContext:
            made.append(context_id)
            return Tcp()

    HostEmulator(Plugin, Http).connect()
    assert made == [2]


def test_streams_of_a_plugin_without_stream_contexts_pass() -> None:
    host = HostEmulator(PluginOfVm)
    assert host.request().status == 200
    assert host.logs == []


def test_tcp_callbacks() -> None:
    calls: list[Any] = []

    class Filter(pwasm.TcpContext):
        def on_new_connection(self) -> Action:
            calls.append("new")
            return Action.CONTINUE

        def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
            calls.append((pwasm.get_downstream_data(), data_size, end_of_stream))
            pwasm.replace_downstream_data(b"replaced")
            return Action.CONTINUE

        def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
            pwasm.append_upstream_data(b"+")
            pwasm.prepend_upstream_data(b"-")
            return Action.CONTINUE

        def on_downstream_close(self, peer_type: PeerType) -> None:
            calls.append(peer_type)

        def on_upstream_close(self, peer_type: PeerType) -> None:
            calls.append(peer_type)

        def on_stream_done(self) -> None:
            calls.append("done")

    host = HostEmulator(Filter)
    connection = host.connect()
    connection.downstream(b"abc", end_of_stream=True)
    connection.upstream(b"x")
    connection.close()
    assert calls == ["new", (b"abc", 3, True), PeerType.UNKNOWN, PeerType.LOCAL, "done"]
    assert (connection.to_upstream, connection.to_downstream) == (b"replaced", b"-x+")
    assert host.logs == []


ARGUMENTS = {row.name: len(row.params.split()) for row in CALLBACKS}


@pytest.mark.parametrize("row", CALLBACKS, ids=lambda row: row.name)
def test_unknown_contexts_are_ignored(row: Any) -> None:
    host = HostEmulator(Http)
    result = host.call(row.name, 77, *[78] * (ARGUMENTS[row.name] - 1))
    assert result == {"": None, "bool": True, "action": 0}[row.result]
    assert [level for level, _ in host.logs] == [LogLevel.DEBUG]
    assert "unknown context" in host.logs[0][1]


def test_log_without_headers() -> None:
    """An earlier filter answered: create, log, done, delete."""
    done: list[Any] = []

    class Filter(pwasm.HttpContext):
        def on_http_stream_done(self) -> None:
            done.append((pwasm.get_http_request_header(":path"), pwasm.get_http_request_headers()))
            done.append(pwasm.get_http_response_headers())

    host = HostEmulator(Filter)
    host.rejected(403)
    assert (done[0], done[1][0]) == ((None, []), (":status", "403"))
    assert host.logs == []


def test_callbacks_after_the_end_are_ignored() -> None:
    host = HostEmulator(Http)
    stream = host.request()
    for export in ("proxy_on_log", "proxy_on_done", "proxy_on_delete"):
        host.call(export, stream.context_id)
    assert [message for _, message in host.logs] == [
        f"{export} for unknown context 2 is ignored" for export in ("proxy_on_log", "proxy_on_done", "proxy_on_delete")
    ]


def test_contexts_are_freed_at_once() -> None:
    refs: list[weakref.ref[Any]] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            refs.append(weakref.ref(self))

    gc.disable()
    try:
        host = HostEmulator(Filter)
        for _ in range(100):
            host.request()
        assert [ref() for ref in refs] == [None] * 100
    finally:
        gc.enable()
    assert host.plugin._streams == {}  # type: ignore[attr-defined]


def test_failed_contexts_are_freed_too() -> None:
    refs: list[weakref.ref[Any]] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            refs.append(weakref.ref(self))
            raise ValueError

    gc.disable()
    try:
        HostEmulator(Filter).request()
        assert refs[0]() is None
    finally:
        gc.enable()


def test_plugin_done() -> None:
    class Plugin(pwasm.PluginContext):
        def on_plugin_done(self) -> bool:
            return False

    host = HostEmulator(Plugin)
    host.stop()
    assert (host.roots, host.roots_waiting) == ([1], {1})

    host = HostEmulator(Http)
    host.stop()
    assert (host.roots, host.logs) == ([], [])


def test_two_hosts_do_not_see_each_other() -> None:
    one, two = HostEmulator(Http), HostEmulator(Http)
    pending = [one.request(), two.request(), one.request()]
    assert [stream.status for stream in pending] == [200] * 3
    assert one.logs == two.logs == []


def test_buffered_body() -> None:
    sizes: list[tuple[int, bool]] = []

    class Filter(pwasm.HttpContext):
        def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
            sizes.append((body_size, end_of_stream))
            if not end_of_stream:
                return Action.PAUSE
            pwasm.replace_http_request_body(pwasm.get_http_request_body().upper())
            return Action.CONTINUE

    stream = HostEmulator(Filter).request("PUT", body=[b"hello", b" ", b"world"])
    assert sizes == [(5, False), (6, False), (11, False), (11, True)]
    assert stream.request_body == b"HELLO WORLD"


@pytest.mark.programs
def test_the_pytest_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pwasm\ndef test_it(pwasm_host):\n    assert pwasm_host(pwasm.HttpContext).request().status == 200\n"
    )
    # As an installed pwasm, but whether or not this one is installed: without the entry point, by name.
    plugins = ["-p", "no:cacheprovider", "-p", "no:pwasm", "-p", "pwasm.pytest_plugin"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(pwasm.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.programs
def test_importing_the_sdk_is_cheap() -> None:
    """Every module imported here is frozen into every main.wasm."""
    # Python 3.14's own traceback module imports `dataclasses`, by way of `_colorize`, which a build replaces.
    imports = "import pwasm, pwasm._dispatch.callbacks"
    code = f"import sys, traceback; before = {{*sys.modules}}; {imports}; print(*{{*sys.modules}} - before)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "inspect",
        "dataclasses",
        "json",
        "logging",
        "asyncio",
        "pwasm.testing",
        "socket",
        "threading",
        "subprocess",
    }
    assert heavy & set(ran.stdout.split()) == set()
