"""The SDK's own counters."""

from __future__ import annotations

import pytest

import pwasm
from pwasm.testing import HostEmulator


class Fails(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        raise pwasm.TimeBudgetExceeded if pwasm.get_http_request_header("x-slow") else ValueError

    def on_http_stream_done(self) -> None:
        raise ValueError


def test_errors_are_counted_by_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostEmulator(Fails)
    defined: list[str | bytes] = []
    define = host.proxy_define_metric

    def noted(metric_type: int, name: str | bytes, /) -> tuple[int, int]:
        defined.append(name)
        return define(metric_type, name)

    monkeypatch.setattr(host, "proxy_define_metric", noted)
    for _ in range(3):
        host.request()
    host.request(headers={"x-slow": "1"})
    assert host.counter("pwasm.errors") == 8
    assert host.counter("pwasm.callback_errors.on_http_request_headers") == 4
    assert host.counter("pwasm.callback_errors.on_http_stream_done") == 4
    assert host.counter("pwasm.budget_exceeded") == 1
    assert len(defined) == len(set(defined)) == 4


def test_a_counter_that_the_host_refuses_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostEmulator(Fails)
    monkeypatch.setattr(host, "proxy_define_metric", lambda *_: (10, 0))
    assert host.request().status == 500
