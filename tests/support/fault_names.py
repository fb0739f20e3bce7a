"""The names of the faults in tests/projects/faults; the filter itself is not for this Python, so they are read."""

from __future__ import annotations

import re

from tests.support.paths import PROJECTS

_TEXT = (PROJECTS / "faults" / "filter.py").read_text(encoding="utf-8")


def _names(table: str) -> list[str]:
    body = _TEXT[_TEXT.index(f"{table}: dict[") :].partition("\n}\n")[0]
    return re.findall(r'^    "(\w+)":', body, re.MULTILINE)


RAISE, SURVIVE = _names("RAISE"), _names("SURVIVE")
