"""The standard logging module goes to the host's log."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

import pwasm
from pwasm import LogLevel
from pwasm.log import LoggingHandler
from pwasm.testing import HostEmulator

logger = logging.getLogger("my.filter")


def logged(call: Any, level: LogLevel = LogLevel.TRACE) -> list[tuple[LogLevel, str]]:
    class Filter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
            call()

    host = HostEmulator(Filter, log_level=level)
    assert host.request().status == 200
    return host.logs


def test_levels() -> None:
    def call() -> None:
        for number in (5, 10, 20, 25, 30, 40, 50, 99):
            logger.log(number, "level %d", number)

    assert logged(call) == [
        (LogLevel.TRACE, "my.filter: level 5"),
        (LogLevel.DEBUG, "my.filter: level 10"),
        (LogLevel.INFO, "my.filter: level 20"),
        (LogLevel.INFO, "my.filter: level 25"),
        (LogLevel.WARN, "my.filter: level 30"),
        (LogLevel.ERROR, "my.filter: level 40"),
        (LogLevel.CRITICAL, "my.filter: level 50"),
        (LogLevel.CRITICAL, "my.filter: level 99"),
    ]


def test_lines_are_escaped_and_tracebacks_readable() -> None:
    def call() -> None:
        logging.info("a\nb\x1b")
        try:
            raise ValueError("boom\n[critical] forged")
        except ValueError:
            logger.exception("it\nfailed")

    (_, first), (level, second) = logged(call)
    assert (first, level) == ("a\\nb\\x1b", LogLevel.ERROR)
    lines = second.split("\n")
    assert lines[0] == "my.filter: it\\nfailed"
    assert lines[1] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") for line in lines[1:])
    assert 'raise ValueError("boom' in second


def test_what_envoy_would_not_log_is_not_formatted() -> None:
    formatted: list[int] = []

    class Record(logging.LogRecord):
        def getMessage(self) -> str:
            formatted.append(self.levelno)
            return "m"

    def call() -> None:
        for level in (logging.INFO, logging.ERROR):  # to the handler itself: pytest's own formats everything
            LoggingHandler().emit(Record("root", level, "", 1, "", (), None))

    assert logged(call, LogLevel.WARN) == [(LogLevel.ERROR, "m")]
    assert formatted == [logging.ERROR]


def test_the_process_is_left_as_it_was() -> None:
    before = (logging.root.level, logging.root.handlers[:])
    logged(lambda: None)
    assert (logging.root.level, logging.root.handlers) == before


CODE = """
import sys
import pwasm.log
pwasm.log.install_logging_handler()
assert "logging" not in sys.modules
import logging
logging.basicConfig()
pwasm.log.install_logging_handler()
pwasm.log.install_logging_handler()
(handler,) = logging.root.handlers
assert type(handler) is pwasm.log.LoggingHandler
logging.info("while it is built: nothing to log to")
"""


@pytest.mark.programs
def test_installing() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
