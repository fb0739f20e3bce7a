"""Log functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pwasm
from pwasm import LogLevel
from pwasm._stream.log import LEVELS
from pwasm.testing import HostEmulator


def logged(*args: Any, function: Any = pwasm.log_info, level: LogLevel = LogLevel.TRACE) -> list[tuple[LogLevel, str]]:
    class Filter(pwasm.HttpContext):
        on_error = "fail_open"

        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            function(*args)

    host = HostEmulator(Filter, log_level=level)
    host.request()
    return host.logs


@pytest.mark.parametrize(("level", "function"), list(zip(LogLevel, LEVELS, strict=True)))
def test_levels(level: LogLevel, function: Any) -> None:
    assert logged("a %s", 1, function=function) == [(level, "a 1")]
    assert function.__name__ == f"log_{level.name.lower()}"
    assert getattr(pwasm, function.__name__ + "f") is function


def test_percent_without_arguments_is_text() -> None:
    assert logged("100 %s") == [(LogLevel.INFO, "100 %s")]


class Loud:
    formatted = 0

    def __str__(self) -> str:
        Loud.formatted += 1
        return "loud"


def test_arguments_are_formatted_only_when_the_level_passes() -> None:
    Loud.formatted = 0
    assert logged("%s", Loud(), level=LogLevel.WARN) == []
    assert Loud.formatted == 0
    assert logged("%s", Loud()) == [(LogLevel.INFO, "loud")]


@given(st.text())
def test_no_message_can_look_like_two(text: str) -> None:
    ((_, message),) = logged(text)
    assert message.splitlines() in ([], [message])
    assert "\x1b" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\r\n", "a\\nb\\r\\n"),
        ("\x00\x1b[31m", "\\x00\\x1b[31m"),
        ("a\tb é", "a\tb é"),
        ("\u2028\x85", "\\u2028\\x85"),
        ("\udcff", "\udcff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters(text: str, message: str) -> None:
    assert logged(text) == [(LogLevel.INFO, message)]
    assert logged("%s", text) == [(LogLevel.INFO, message)]


def test_format_errors_do_not_depend_on_the_level() -> None:
    ((level, message),) = logged("%d", "x")
    assert level == LogLevel.INFO
    assert message.startswith("%d (cannot be formatted with ('x',): ")


class Broken:
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def test_unprintable_arguments() -> None:
    assert logged("%s", Broken()) == [(LogLevel.INFO, "%s (cannot be formatted: ValueError)")]


@pytest.mark.parametrize("wrong", [None, 1, b"bytes", ["x"]])
def test_msg_must_be_str(wrong: Any) -> None:
    ((level, message),) = logged(wrong)
    assert level == LogLevel.ERROR
    assert f"TypeError: msg must be str, not {type(wrong).__name__}" in message
