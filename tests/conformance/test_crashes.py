"""Crashes in the emulator are crashes in a real Envoy: K1 to K13 of docs/abi.md §0.1, one Envoy for each.

The modules are text, as small as can be: nothing guards their hostcalls, and Envoy starts at once. Where Envoy
survives one day, the emulator must no longer say that it dies.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import wasmtime

from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.envoy.process import EnvoyExitedError

from .case import Case
from .cases.crashes import CRASHES
from .emulator_world import EmulatorWorld
from .envoy_world import envoy_world
from .observe import Outcome

MODULE = r"""(module
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $select (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $local_response (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call" (func $http_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_call"
    (func $grpc_call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_grpc_stream" (func $grpc_stream (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $stream (mut i32) (i32.const 0))
  (data (i32.const 0) "web")
  (data (i32.const 64) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\05\00\00\00\0a\00\00\00\06\00\00\00")
  (data (i32.const 92) ":method\00GET\00:path\00/call\00:authority\00callee\00")
  (func (export "proxy_abi_version_0_2_1"))
  (data (i32.const 256) "users")
  (data (i32.const 264) "h1")
  (data (i32.const 272) "uncompress")
  (data (i32.const 512) "BOMB")
  (func (export "malloc") (param i32) (result i32)
    (select (i32.const 4096) (i32.const 0) (i32.lt_u (local.get 0) (i32.const 8192))))
  (func $show (param $buffer i32)
    (i32.store8 (i32.const 40) (i32.const 48))
    (i32.store8 (i32.const 40) (i32.add (i32.const 48)
      (call $set_buffer (local.get $buffer) (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 1))))
    (drop (call $log (i32.const 4) (i32.const 40) (i32.const 1))))
  (func $reply
    (drop (call $local_response (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const -1))))
  (func $ask
    (drop (call $http_call (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 70) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 5000) (i32.const 32))))
  CALLBACKS
)"""
SIGNATURES = {
    "request_headers": "(param i32 i32 i32) (result i32)",
    "request_body": "(param i32 i32 i32) (result i32)",
    "response_headers": "(param i32 i32 i32) (result i32)",
    "response_body": "(param i32 i32 i32) (result i32)",
    "response_trailers": "(param i32 i32) (result i32)",
    "upstream_data": "(param i32 i32 i32) (result i32)",
    "http_call_response": "(param i32 i32 i32 i32 i32)",
    "tick": "(param i32)",
    "log": "(param i32)",
    "done": "(param i32) (result i32)",
    "delete": "(param i32)",
}
RESULTS = {name: f"(i32.const {int(name == 'done')})" for name, types in SIGNATURES.items() if "result" in types}
REPLY, ASK = "(call $reply)", "(call $ask)"
SHOW_BODY, SHOW_DATA = (f"(call $show (i32.const {buffer}))" for buffer in (0, 3))
REMEMBER = "(global.set $stream (local.get 0))"
SELECT = "(drop (call $select (global.get $stream)))"
PAUSE = "(return (i32.const 1))"


def one(name: str, *numbers: int) -> str:
    """A call."""
    return f"(drop (call ${name} {' '.join(f'(i32.const {number})' for number in numbers)}))"


def late(*calls: str) -> Mapping[str, str]:
    """What a tick does to a response that is held."""
    tick = one("tick", 0) + SELECT + "".join(calls)
    return {"response_body": REMEMBER + one("tick", 10) + PAUSE, "tick": tick}


BOMB = zlib.compress(bytes(100_000))
RESUME, CLOSE = one("continue", 1), one("close", 1)
MODULES: Mapping[str, Mapping[str, str]] = {
    "64-K1-continue-response-in-the-request": {"request_headers": one("continue", 1)},
    "64-K1-continue-response-from-a-tick": {
        "request_headers": REMEMBER + one("tick", 10) + PAUSE,
        "tick": one("tick", 0) + SELECT + one("continue", 1),
    },
    "68-K2-local-response-in-log": {"log": REPLY},
    "68-K3-local-response-in-done": {"done": REPLY},
    "68-K4-local-response-in-delete": {"delete": REPLY},
    "68-K5-close-in-log": {"log": one("close", 0)},
    "68-K5-close-in-delete": {"delete": one("close", 0)},
    "85-K6-two-answers-in-one-turn": {
        "request_headers": REMEMBER + ASK + ASK + PAUSE,
        "http_call_response": SELECT + REPLY,
    },
    "66-K7-close-request-in-response-trailers": {"response_trailers": one("close", 0)},
    "66-K7-close-response-in-response-trailers": {"response_trailers": one("close", 1)},
    "78-K8-grpc-call-to-nothing": {"request_headers": one("grpc_call", *[0] * 10, 1000, 32)},
    "78-K8-grpc-stream-to-nothing": {"request_headers": one("grpc_stream", *[0] * 8, 32)},
    "69-K9-resume-and-answer": late(RESUME, REPLY),
    "69-K9-resume-and-close": late(RESUME, CLOSE),
    "69-K9-answer-and-resume": late(REPLY, RESUME),
    "69-K9-close-and-resume": late(CLOSE, RESUME),
    "69-K9-close-and-answer": late(CLOSE, REPLY),
    "69-K9-answer-and-close": late(REPLY, CLOSE),
    "69-K9-close-twice": late(CLOSE, CLOSE),
    "67-K9-answer-and-close-in-the-request": {"request_headers": REPLY + one("close", 0)},
    "67-K9-close-and-answer-in-the-request": {"request_headers": one("close", 0) + REPLY},
    "67-K9-answer-twice-in-the-response": {"response_headers": REPLY + REPLY},
    "67-K9-close-twice-in-the-response": {"response_headers": CLOSE + CLOSE},
    "49-K10-body-after-its-callback-has-answered": {
        "request_body": REPLY,
        "response_headers": REMEMBER + one("tick", 10) + PAUSE,
        "tick": one("tick", 0) + SELECT + SHOW_BODY + RESUME,
    },
    "115-K11-data-after-its-callback-has-closed": {"upstream_data": one("close", 2), "log": SHOW_DATA},
    "78-K12-grpc-call-to-users": {"request_headers": one("grpc_call", 256, 5, *[0] * 8, 1000, 32)},
    "78-K12-grpc-stream-to-h1": {"request_headers": one("grpc_stream", 264, 2, *[0] * 6, 32)},
    "102-K13-a-result-without-room": {"request_headers": one("foreign", 272, 10, 512, len(BOMB), 32, 36)},
}
CASES = {case.id: case for case, crash in CRASHES.items() if crash.startswith("K")}
ABORTS = {"K8", "K12"}
GONE = {case.id: case for case in CASES.values() if CRASHES[case] in {"K10", "K11"}}
"""Envoy survives most of these: what the address points to may still be there."""
every_crash = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def module(case: Case, folder: Path) -> Path:
    """The module that does what the case's script says."""
    callbacks = (
        f'(func (export "proxy_on_{name}") {SIGNATURES[name]} {body} {RESULTS.get(name, "")})'
        for name, body in MODULES[case.id].items()
    )
    path = folder / "main.wasm"
    text = MODULE.replace("BOMB", "".join(f"\\{byte:02x}" for byte in BOMB))
    path.write_bytes(wasmtime.wat2wasm(text.replace("CALLBACKS", "\n  ".join(callbacks))))
    return path


@pytest.mark.wasm
@every_crash
def test_the_emulator_says_so(case: Case, tmp_path: Path) -> None:
    path = module(case, tmp_path)
    world = EmulatorWorld(lambda _: lambda host: WasmPlugin(path, host))
    assert world.run(case) == Outcome(crash=CRASHES[case])


@pytest.mark.envoy
@pytest.mark.parametrize("case", [case for case in CASES.values() if case.id not in GONE], ids=lambda case: case.id)
def test_envoy_dies(case: Case, tmp_path: Path) -> None:
    with envoy_world(module(case, tmp_path), [case]) as world:
        world.ask(case)
        died_of = world.envoy.wait(15)
    assert died_of == -(signal.SIGABRT if CRASHES[case] in ABORTS else signal.SIGSEGV)


@pytest.mark.envoy
@pytest.mark.parametrize("case", GONE.values(), ids=GONE)
def test_envoy_keeps_the_address_of_what_is_gone(case: Case, tmp_path: Path) -> None:
    """It can still be written to (status 0) after its callback: use after free, which may kill or not."""
    with envoy_world(module(case, tmp_path), [case]) as world:
        if case.tcp:
            with socket.create_connection(world.addresses["tcp"], timeout=5) as client:
                client.sendall(b"hello")
                client.recv(5)
        else:
            world.ask(case)
        with contextlib.suppress(EnvoyExitedError):
            world.envoy.wait_for_log("probe: 0")


@pytest.mark.envoy
def test_a_module_that_does_nothing_does_not_kill_envoy(tmp_path: Path) -> None:
    """So it is not the test that kills."""
    harmless = Case("harmless", answer=CASES["66-K7-close-request-in-response-trailers"].answer)
    path = tmp_path / "main.wasm"
    path.write_bytes(wasmtime.wat2wasm(MODULE.replace("CALLBACKS", "")))
    with envoy_world(path, [harmless]) as world:
        assert world.ask(harmless)["status"] == 200
        world.envoy.check_alive()
