"""Statuses become exceptions that say what was requested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pwasm
from pwasm import errors
from pwasm._abi import HOSTCALLS, Status
from pwasm.testing import HostEmulator


@pytest.mark.parametrize("status", [*Status, 13, 255], ids=str)
def test_status(status: int) -> None:
    if status == Status.OK:
        errors.check(status, "proxy_x")
        return
    with pytest.raises(errors.HostcallError) as caught:
        errors.check(status, "proxy_x", "x-key")
    expected = "".join(word.title() for word in Status(status).name.split("_")) if status < 13 else "HostcallError"
    assert type(caught.value).__name__ == expected
    assert (caught.value.hostcall, caught.value.status, caught.value.key) == ("proxy_x", status, "x-key")
    assert "proxy_x" in str(caught.value)
    assert str(int(status)) in str(caught.value)
    assert "'x-key'" in str(caught.value)


CALLS: dict[str, tuple[Callable[[], object], bool]] = {
    "proxy_get_header_map_value": (lambda: pwasm.get_http_request_header("x"), True),
    "proxy_add_header_map_value": (lambda: pwasm.add_http_request_trailer("x", "1"), False),
    "proxy_replace_header_map_value": (lambda: pwasm.replace_http_request_trailer("x", "1"), False),
    "proxy_remove_header_map_value": (lambda: pwasm.remove_http_request_trailer("x"), False),
    "proxy_get_header_map_pairs": (pwasm.get_http_request_headers, True),
    "proxy_set_header_map_pairs": (lambda: pwasm.replace_http_request_trailers([("x", "1")]), False),
    "proxy_get_buffer_bytes": (pwasm.get_http_request_body, True),
    "proxy_set_buffer_bytes": (lambda: pwasm.append_http_request_body(b"x"), False),
    "proxy_send_local_response": (lambda: pwasm.send_http_response(403), False),
    "proxy_close_stream": (pwasm.close_http_request, False),
    "proxy_set_tick_period_milliseconds": (lambda: pwasm.set_tick_period_milliseconds(1), False),
    "proxy_set_effective_context": (lambda: pwasm.set_effective_context(2), False),
    "proxy_get_current_time_nanoseconds": (pwasm.get_current_time_nanoseconds, True),
}


@pytest.mark.parametrize("status", [*range(1, 14), 255])
@pytest.mark.parametrize("hostcall", CALLS)
def test_every_hostcall_with_every_status(hostcall: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call, has_results = CALLS[hostcall]
    seen: list[object] = []
    answer: Any = (status, b"") if has_results else status

    class Filter(pwasm.HttpContext):
        edits_request_body = True

        def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
            if not end_of_stream:
                return
            with monkeypatch.context() as patched:
                patched.setattr(HostEmulator, hostcall, lambda *_: answer)
                try:
                    seen.append(call())
                except pwasm.HostcallError as error:
                    seen.append(error)

    HostEmulator(Filter).request(method="POST", body=b"abc")
    (result,) = seen
    if hostcall == "proxy_get_header_map_value" and status == Status.NOT_FOUND:
        assert result is None
        return
    assert isinstance(result, pwasm.HostcallError)
    assert (result.hostcall, result.status) == (hostcall, status)
    assert type(result) is errors.BY_STATUS.get(status, pwasm.HostcallError)
    assert "in on_http_request_body" in str(result)


def test_the_table_above_knows_the_abi() -> None:
    assert set(CALLS) <= {row.name for row in HOSTCALLS}


def test_without_a_host_the_error_says_when_to_call() -> None:
    from pwasm._stream.current import NoHost

    with pytest.raises(pwasm.PhaseError, match=r"proxy_log is refused outside a callback: there is no proxy yet"):
        NoHost().proxy_log(2, "x")


@pytest.mark.parametrize("function", [pwasm.get_plugin_configuration, pwasm.get_vm_configuration])
def test_there_is_no_configuration_at_import(function: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from pwasm._stream.current import NoHost, current

    monkeypatch.setattr(current, "host", NoHost())
    with pytest.raises(pwasm.PhaseError, match=rf"{function.__name__} is refused outside a callback: there is no"):
        function()
