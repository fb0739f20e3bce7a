"""pytest plugin of `pwasm test`: SIGTERM and SIGHUP end the tests as Ctrl-C does, fixtures and summary included.

SIGINT itself would not do: a shell script starts what it runs in the background with SIGINT ignored. And `timeout`, or
a terminal that is closed, sends its signal to pytest as well as to us.
"""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def pytest_configure() -> None:
    if threading.current_thread() is threading.main_thread():  # in those of pytest-xdist it may be another
        for number in _ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)  # the second must not end the fixtures
    raise KeyboardInterrupt
