"""pytest plugin of `pwasm test`: SIGTERM and SIGHUP end the tests as Ctrl-C does, including fixtures and summary.

Sending SIGINT would not work: a shell script starts background processes with SIGINT ignored. And `timeout`, or a
terminal that is closed, signals pytest as well as us.
"""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def pytest_configure() -> None:
    if threading.current_thread() is threading.main_thread():  # in workers of pytest-xdist it may not be
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the fixtures
    raise KeyboardInterrupt
