"""Mistakes of authors that would otherwise show up only as a failing test: the messages of their tests."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TEST = """
def test_it(pwasm_world):
    assert pwasm_world.request().status == 403
"""
# name → the class's body, and what is said.
MISTAKES = {
    "typo": (
        ["def on_http_request_header(self, num_headers, end_of_stream):", "    pwasm.send_http_response(403)"],
        [
            "filter.py:5: Mine.on_http_request_header is not a callback of HttpContext; "
            "did you mean on_http_request_headers?"
        ],
    ),
    "arity": (
        ["def on_http_request_headers(self, num_headers):", '    pwasm.log_info(f"{num_headers} headers")'],
        [
            "filter.py:5: Mine.on_http_request_headers cannot be called as (self, num_headers); "
            "it must be on_http_request_headers(self, num_headers: int, end_of_stream: bool)"
        ],
    ),
    "misspelt_attribute": (
        ['on_eror = "fail_open"', "buffer_requst_body = True"],
        [
            "filter.py:5: Mine.on_eror is not a setting of HttpContext; did you mean on_error?",
            "filter.py:6: Mine.buffer_requst_body is not a setting of HttpContext; did you mean buffer_request_body?",
        ],
    ),
}


def written(folder: Path, body: list[str], test: str) -> Path:
    """A filter and its test."""
    lines = ["import pwasm", "", "", "class Mine(pwasm.HttpContext):", *(f"    {line}" for line in body)]
    (folder / "filter.py").write_text("\n".join([*lines, "", "", "pwasm.set_http_context(Mine)", ""]))
    (folder / "test_filter.py").write_text(test)
    return folder


@pytest.mark.parametrize("tier", ["python", pytest.param("wasm", marks=pytest.mark.wasm)])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_name_is_what_the_test_says(tmp_path: Path, run_pytest: Run, tier: str, name: str) -> None:
    body, said = MISTAKES[name]
    ran = run_pytest(written(tmp_path, body, TEST), f"--pwasm-tier={tier}")
    assert ran.returncode == 1
    for line in said:
        assert ran.stdout.partition("short test summary")[0].count(line) == 1, ran.stdout
    assert "During handling of the above exception" not in ran.stdout
    assert "spelling.py" not in ran.stdout, "no traceback through the SDK"


LATE = """
import pwasm


class Plugin(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size):
        pwasm.set_tcp_context(type("Late", (pwasm.TcpContext,), {}))


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(pwasm.HttpContext)
"""


@pytest.mark.wasm
def test_a_vm_does_without_what_looks_for_mistakes(tmp_path: Path, run_pytest: Run) -> None:
    """It is not part of a module, in which registering a class has no effect."""
    (tmp_path / "filter.py").write_text(LATE)
    (tmp_path / "test_filter.py").write_text(TEST.replace("403", "200"))
    ran = run_pytest(tmp_path, "--pwasm-tier=python,wasm")
    assert "2 passed" in ran.stdout, ran.stdout


# --- a stream that nothing resumes ------------------------------------------------------------------------------------

PAUSES = """
import pwasm
from pwasm import Action, HttpContext, PluginContext


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        if self.configuration:
            pwasm.set_tick_period_milliseconds(int(self.configuration))


class Mine(HttpContext):
    path = ""
    held: list[int] = []

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.path = pwasm.get_http_request_header(":path") or ""
        if self.path == "/free":
            with pwasm.effective_context(self.held.pop()):
                pwasm.resume_http_request()
        if self.path == "/call":
            call = [(":method", "GET"), (":path", "/"), (":authority", "a")]
            pwasm.dispatch_http_call("silent", call, timeout_ms=20_000, callback=lambda *_: None)
        if self.path == "/answer":
            pwasm.send_http_response(403)
        if self.path in {"/headers", "/call"}:
            self.held.append(self.context_id)
        return Action.PAUSE if self.path in {"/headers", "/call", "/answer"} else Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.PAUSE if self.path == "/response" else Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        return Action.PAUSE if self.path == "/body" else Action.CONTINUE


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Mine)
"""
HELD = """
import pytest
from pwasm.testing import SILENCE

pytestmark = pytest.mark.pwasm(clusters={"silent": SILENCE})


def test_headers(pwasm_world):
    pwasm_world.request("GET", "/answer")
    assert pwasm_world.request("GET", "/headers").status == 200


def test_response(pwasm_world):
    assert pwasm_world.request("GET", "/response").status == 200


def test_body(pwasm_world):
    assert pwasm_world.request("GET", "/body").status == 200


def test_call(pwasm_world):
    assert pwasm_world.request("GET", "/call").status == 200


@pytest.mark.pwasm(configuration="300")
def test_tick(pwasm_world):
    assert pwasm_world.request("GET", "/headers").status == 200


def test_meant(pwasm_world):
    held = pwasm_world.send("GET", "/headers")
    response = held.response(timeout=0.2)
    assert (response.status, response.complete) == (None, False)


def test_resumed_by_another(pwasm_world):
    held = pwasm_world.send("GET", "/headers")
    pwasm_world.eventually(lambda: pwasm_world.tier != "envoy" or "PAUSE" in str(pwasm_world.account()), "it is held")
    assert pwasm_world.request("GET", "/free").status == 200
    assert held.response().status == 200
"""
WAITS = """
import pwasm.testing.worlds.envoy

pwasm.testing.worlds.envoy.SECONDS = 1.0
"""
# test → what holds the stream, and what the emulator and what Envoy says of it.
SAID = {
    "test_headers": ("on_http_request_headers", "nothing resumes it: there is no pending call and no tick"),
    "test_response": ("on_http_response_headers", "nothing resumes it: there is no pending call and no tick"),
    "test_body": ("on_http_response_body", "nothing resumes it: there is no pending call and no tick"),
    "test_call": ("on_http_request_headers", "nothing resumed it within 10 s (1 call without an answer)"),
    "test_tick": ("on_http_request_headers", "nothing resumed it within 10 s (a tick every 300 ms)"),
}


@pytest.mark.parametrize(
    "tier",
    [
        "python",
        pytest.param("wasm", marks=pytest.mark.wasm),
        pytest.param("envoy", marks=[pytest.mark.wasm, pytest.mark.envoy]),
    ],
)
def test_a_stream_that_nothing_resumes_is_what_the_test_says(tmp_path: Path, run_pytest: Run, tier: str) -> None:
    (tmp_path / "filter.py").write_text(PAUSES)
    (tmp_path / "test_filter.py").write_text(HELD)
    (tmp_path / "conftest.py").write_text(WAITS)
    said = run_pytest(tmp_path, f"--pwasm-tier={tier}").stdout
    assert "5 failed, 2 passed" in said, said
    reports = said.partition(" short test summary info ")[0]  # in CI the summary repeats the messages
    for test, (callback, emulator) in SAID.items():
        (report,) = re.findall(rf"^_+ {test}\[\w+\] _+$(.*?)^_+ ", reports + "\n_ ", re.MULTILINE | re.DOTALL)
        rest = "nothing resumed it within 1 s" if tier == "envoy" else emulator
        assert f"AssertionError: held since {callback} returned PAUSE; {rest}" in report, report
        assert "request(…, timeout=1)" in report
        decided = "after seeing the body, set holds_response_headers = True and return CONTINUE" in report
        assert tier == "envoy" or decided == (test == "test_response")
    assert "world_host.py" not in said, "no traceback through the SDK"
