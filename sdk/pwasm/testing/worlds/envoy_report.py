"""The report of a failed test on its Envoy: what the filter saw, the last log lines, statistics, configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pwasm_compiler.envoy.log import LogRecord

from ..emulator.trace import ACTIONS, STATUSES, short

_SHOWN_CALLS = 400
_SHOWN_LINES = 40
_CROSSING = re.compile(r"\[(?P<way>host->vm|host<-vm|vm->host|vm<-host)\] (?P<call>.*)", re.DOTALL)
_THREAD = re.compile(r"\[[^\]]*\]\[(\d+)\]")
_RETURN = re.compile(r"(?P<name>\S+) return: (?P<value>.*)")
_STREAM_CALL = re.compile(r"(?:env\.)?(?P<name>proxy_\w+)(?:\(| return: )(?P<argument>-?\w*)")
_STREAM_CALLBACK = re.compile(r"proxy_on_(request|response)_(headers|body|trailers)")
_ANSWERS = frozenset({"proxy_send_local_response", "proxy_close_stream"})
_PAUSE, _DIRECTIONS = "1", {"0": "request", "1": "response"}
_NOISE = re.compile(r"^(malloc|proxy_on_memory_allocate|_initialize|_start|wasi_)")
_STATS = ("wasm", "listener.", "http.", "cluster.", "server.watchdog", "workers.watchdog", "main_thread.watchdog")


def crossings(records: Iterable[LogRecord]) -> str:
    """Callbacks, hostcalls and the filter's log lines, in order, from Envoy's log at level trace."""
    lines: list[str] = []
    open_calls: list[str] = []
    for record in records:
        match = _CROSSING.match(record.message) if record.component == "wasm" else None
        if record.from_filter:
            lines.append(f"{'    ' * bool(open_calls)}log {record.level}: {record.text}")
        elif match is not None:
            _crossing(match["way"], match["call"], lines, open_calls)
        elif record.component == "wasm" and record.at_least("warning"):
            lines.append(f"Envoy: {record.message}")
    lines += [f"{call} did not return" for call in open_calls]
    return "\n".join(lines[-_SHOWN_CALLS:])


def logged(records: Iterable[LogRecord]) -> list[tuple[str, LogRecord]]:
    """The records logged by filters, each with the callback that was running in its thread."""
    found: list[tuple[str, LogRecord]] = []
    running: dict[str, str] = {}
    for record in records:
        match = _CROSSING.match(record.message) if record.component == "wasm" else None
        thread = _THREAD.match(record.raw)
        number = thread[1] if thread else ""
        if record.from_filter:
            found.append((running.get(number, ""), record))
        elif match is not None and match["way"] == "host->vm" and not _NOISE.match(match["call"]):
            running[number] = match["call"].partition("(")[0]
    return found


def holding(records: Iterable[LogRecord]) -> str:
    """The callback (`proxy_on_…`) that paused a stream that nothing has resumed or answered; "" for none.

    If there are several, the last one: the test is waiting for that.
    """
    held: dict[tuple[str, str, str], str] = {}
    answered: set[tuple[str, str]] = set()
    selected: dict[str, str] = {}
    for record in records:
        match = _CROSSING.match(record.message) if record.component == "wasm" else None
        call = match and _STREAM_CALL.match(match["call"])
        if match is None or not call:
            continue
        thread = _THREAD.match(record.raw)
        worker, name, argument = thread[1] if thread else "", call["name"], call["argument"]
        callback = _STREAM_CALLBACK.fullmatch(name)
        if match["way"] == "host->vm" or name == "proxy_set_effective_context":
            selected[worker] = argument
        elif match["way"] == "host<-vm" and callback:
            held.pop((worker, selected[worker], callback[1]), None)
            if argument == _PAUSE:
                held[worker, selected[worker], callback[1]] = name
        elif name == "proxy_continue_stream":
            held.pop((worker, selected[worker], _DIRECTIONS.get(argument, "")), None)
        elif name in _ANSWERS:
            answered.add((worker, selected[worker]))
    open_ones = [name for (worker, context, _), name in held.items() if (worker, context) not in answered]
    return open_ones[-1] if open_ones else ""


def _crossing(way: str, call: str, lines: list[str], open_calls: list[str]) -> None:
    if _NOISE.match(call):
        return
    returned = _RETURN.fullmatch(call)
    if way == "host->vm":
        open_calls.append(call)
        lines.append(call)
    elif way == "host<-vm" and returned:
        if open_calls:
            open_calls.pop()
        action = "headers" in returned["name"] or "data" in returned["name"] or "body" in returned["name"]
        value = ACTIONS.get(returned["value"], returned["value"]) if action else returned["value"]
        if value != "void":
            lines.append(f"→ {value}")
    elif way == "vm->host" and "proxy_log(" not in call:
        lines.append(f"    {call.removeprefix('env.proxy_')}")
    elif way == "vm<-host" and returned and returned["value"] not in {"0", "void"}:
        lines.append(f"        = {STATUSES.get(returned['value'], returned['value'])}")


def last_lines(records: Sequence[LogRecord]) -> str:
    """The end of Envoy's own log from level warning on, with the stack of a crash, without what `crossings` shows."""
    own = [record for record in records if not record.from_filter and (record.at_least("warning") or not record.level)]
    lines = dict.fromkeys(short(line.partition("] ")[2] or line) for record in own for line in record.raw.splitlines())
    return "\n".join(list(lines)[-_SHOWN_LINES:])


def statistics(stats: Mapping[str, int]) -> str:
    """The non-zero statistics about filters and traffic."""
    return "\n".join(f"{name}: {value}" for name, value in sorted(stats.items()) if value and name.startswith(_STATS))


def configuration(dump: Mapping[str, Any]) -> str:
    """The Wasm plugins of Envoy's configuration, and its clusters with their addresses."""
    found: list[str] = []
    _collect(dump, found)
    return "\n".join(dict.fromkeys(found))


def _collect(node: Any, found: list[str]) -> None:
    if isinstance(node, Mapping):
        if "vm_config" in node:
            shown = {key: value for key, value in node.items() if key != "vm_config"}
            found.append(f"plugin {short(json.dumps(shown))} in VM {short(json.dumps(node['vm_config']))}")
            return
        if "load_assignment" in node:
            address = re.search(r'"port_value": ?(\d+)', json.dumps(node["load_assignment"]))
            found.append(f"cluster {node.get('name')}: port {address[1] if address else '?'}")
            return
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            _collect(value, found)
