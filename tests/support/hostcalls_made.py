"""pytest plugin: which hostcalls the tests of each filter make. tests/filters/test_folders.py runs pytest with it.

The names are written to the file that --hostcalls names, as JSON: folder → names, when the run is over.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm.testing.emulator.trace import TracedHost

_calls: defaultdict[str, set[str]] = defaultdict(set)
_now = {"folder": ""}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostcalls", type=Path)


def pytest_runtest_setup(item: pytest.Item) -> None:
    _now["folder"] = item.path.parent.name


def pytest_sessionfinish(session: pytest.Session) -> None:
    names = {folder: sorted(calls) for folder, calls in _calls.items()}
    session.config.getoption("--hostcalls").write_text(json.dumps(names), encoding="utf-8")


def _noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def hostcall(*args: Any) -> Any:
        _calls[_now["folder"]].add(name)
        return original(*args)

    return hostcall


for _name in dir(TracedHost):
    if _name.startswith("proxy_"):
        setattr(TracedHost, _name, _noted(_name, getattr(TracedHost, _name)))
