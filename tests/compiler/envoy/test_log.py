"""Envoy's log lines as records."""

from __future__ import annotations

from pwasm_compiler.envoy.log import LogParser, parse_log

LOG = """\
before the first record
[2026-11-23 14:39:43.361][4310][info][main] [source/server/server.cc:467] starting
[2026-11-23 14:39:43.362][4311][error][wasm] [source/extensions/common/wasm/context.cc:1] wasm log a b: Traceback
  File "filter.py", line 1
ValueError: x: y
[2026-11-23 14:39:43.363][4311][critical][wasm] [source/x.cc:1] Function: proxy_on_log failed
[2026-11-23 14:39:43.364][4311][warning][wasm] [source/x.cc:1] wasm log: early: text
[2026-11-23 14:39:43.365][4311][debug][main] no source
"""


def test_records_of_a_log() -> None:
    before, start, raised, trap, early, last = parse_log(LOG)
    assert (before.level, before.message) == ("", "before the first record")
    assert (start.level, start.component, start.time) == ("info", "main", "14:39:43.361")
    assert (start.source, start.message) == ("source/server/server.cc:467", "starting")
    assert (raised.level, raised.origin) == ("error", "a b")
    assert raised.text == 'Traceback\n  File "filter.py", line 1\nValueError: x: y'
    assert raised.from_filter
    assert (trap.from_filter, trap.origin, trap.text) == (False, "", "Function: proxy_on_log failed")
    assert (early.from_filter, early.origin, early.text) == (True, "", "early: text")
    assert (last.source, last.message) == ("", "no source")
    assert "\n".join(record.raw for record in parse_log(LOG)) + "\n" == LOG


def test_levels() -> None:
    before, start, raised, *_ = parse_log(LOG)
    assert [record.at_least("info") for record in (before, start, raised)] == [False, True, True]
    assert [record.at_least("error") for record in (before, start, raised)] == [False, False, True]


def test_a_line_that_comes_late_keeps_the_level() -> None:
    parser = LogParser()
    for line in LOG.splitlines()[2:4]:
        parser.feed(line)
    first = parser.flush()
    assert first is not None
    assert not parser.pending
    parser.feed("ValueError: x: y")
    late = parser.flush()
    assert late is not None
    assert (late.level, late.component, late.message) == ("error", "wasm", "ValueError: x: y")
