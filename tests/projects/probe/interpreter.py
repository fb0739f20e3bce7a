"""Runs the scripts of the conformance cases, and logs one line for each callback: what was called, what came back.

A script maps a callback (without `proxy_on_`; `request_body#2`: only the second, `request_body!`: only the last) to
operations, each a list:

    ["proxy_…", argument, …]     a hostcall, on the raw host: no guard of the SDK lies between
    ["sdk", "name", argument, …] a function of `pwasm`; what it raises is the outcome
    ["=name", operation…]        the same, and the first result is kept: `"$name"` as an argument, `$name` in the log
    ["?", operation…]            the same, of whose results only the names are logged; "#": their lengths
    ["return", number]           the callback returns this
    ["raw", number]              the callback returns this, past the SDK (main.wasm itself refuses what is no action)
    ["raise"]                    the filter fails

Arguments: a str stands for bytes in Latin-1; a list is a list of pairs; {"text": n} is the text n times. `{id}` is the
case, `$stream` its stream's context, `$root` the plugin's.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import pwasm
from pwasm import _abi, _serde
from pwasm._dispatch import callbacks
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._stream.records import Phase, Stream

HOSTCALLS = {call.name: call for call in _abi.HOSTCALLS}
CALLBACKS = {callback.name: callback for callback in _abi.CALLBACKS}
STATUSES = {int(status): status.name for status in _abi.Status}
NOT_SHOWN = {"context_id", "root_id", "token", "parent_id", "configuration_size"}
"""What differs from run to run, or between the cases' plugins."""
PAIRS = {"headers", "pairs", "trailers", "initial_metadata"}
FIRST = ("request_headers", "new_connection")
Outcome = tuple[dict[str, str], dict[str, Any]]
"""Of an operation: what it was and how it ended, and its results."""


def in_wasm() -> bool:
    """Whether this runs (or is frozen) in a module."""
    return "_pwasm_shim" in sys.modules


def hold_nothing(stream: Stream, phase: Phase, action: int) -> int:
    """In place of `holding.leave`: the cases are about what the host holds, so the SDK must take no bytes from it."""
    if action and phase.direction >= 0:
        stream.paused |= 1 << phase.direction
    return action


class Running:
    """The callback that runs."""

    def __init__(self) -> None:
        self.probe: Any = None
        self.operations: list[Any] = []
        self.results: list[Any] = []
        self.returns: int | None = None

    def through_sdk(self, part: str) -> int | None:
        """Run the remaining operations; the SDK has set the context by now."""
        if self.probe is not None:
            self.probe.run(self)
        passed, self.returns = self.returns, None
        return passed


running = Running()


class Probe(Dispatcher):
    """A dispatcher with the scripts between the host and the SDK."""

    def __init__(self, registration: Any, host: Any) -> None:
        super().__init__(registration, host)
        self.scripts: dict[str, Any] = {}
        self.case = ""
        self.roots: dict[int, tuple[dict[str, Any], str]] = {}
        self.streams: dict[int, str] = {}
        self.parents: dict[int, int] = {}
        self.next_case = ""
        self.raw: int | None = None
        self.kept: dict[str, Any] = {}
        self.keeps: dict[int, dict[str, Any]] = {}
        """What is kept for each stream."""
        self.callers: dict[int, tuple[str, dict[str, Any]]] = {}
        """Call → the case, and what it keeps."""
        self.counts: dict[tuple[str, str], int] = {}

    # --- a callback -----------------------------------------------------------------------------------------------

    def enter(self, export: str, context_id: int, arguments: tuple[int, ...]) -> Any:
        """Run a callback's script, inside the SDK's callback."""
        part = export.removeprefix("proxy_on_")
        root = self.parents.get(context_id, context_id)
        self.find_case(part, context_id, root)
        if part == "http_call_response":
            self.case, self.kept = self.callers.pop(arguments[0], (self.case, self.kept))
        count = self.counts[self.case, part] = self.counts.get((self.case, part), 0) + 1
        script = self.scripts.get(self.case, {})
        last = part.endswith(("body", "data", "headers")) and bool(arguments[-1])
        operations = script.get(f"{part}#{count}") or (last and script.get(f"{part}!")) or script.get(part) or []
        global running
        outer = running
        now = running = Running()
        now.probe, now.operations = self, list(operations)
        self.kept["root"] = root
        leave, callbacks.leave = callbacks.leave, hold_nothing
        try:
            answer = getattr(Dispatcher, export)(self, context_id, *arguments)
            self.run(now)
        finally:
            running, callbacks.leave = outer, leave
        if part == "configure":
            self.read_configuration(context_id, arguments[-1])
        if self.raw is not None:
            answer, self.raw = self.raw, None
        if now.returns is not None:
            answer = bool(now.returns) if part in {"done", "configure", "vm_start"} else now.returns
        self.tell(part, named(CALLBACKS[export].params, (context_id, *arguments)), now.results, answer)
        return answer

    def tell(self, part: str, arguments: dict[str, Any], results: list[Any], answer: Any) -> None:
        """Log the line."""
        line = {
            "case": self.case,
            "callback": part,
            "arguments": {name: int(value) for name, value in arguments.items() if name not in NOT_SHOWN},
            "results": results,
            "returned": None if answer is None else int(answer),
        }
        self._host.proxy_log(2, "@" + json.dumps(line))

    def find_case(self, part: str, context_id: int, root: int) -> None:
        """Scripts of a plugin, and the case of a stream: a header says so, or the plugin's configuration."""
        if root not in self.roots:
            return
        self.scripts, default = self.roots[root]
        if part in FIRST or (part == "log" and context_id not in self.streams):
            name = self._host.proxy_get_header_map_value(0, "x-case")[1].decode() or default
            if part == "new_connection":
                name = default or self.next_case
            if part == "request_headers":
                self.next_case = self._host.proxy_get_header_map_value(0, "x-next")[1].decode()
            self.streams[context_id] = name
            self.case = name
            self.kept = self.keeps[context_id] = {"stream": context_id}
        elif context_id in self.streams:
            self.case, self.kept = self.streams[context_id], self.keeps[context_id]
        elif default:
            self.case = default

    def read_configuration(self, root: int, size: int) -> None:
        """`{"case": name of the only one or "", "scripts": {…}}`."""
        text = self._host.proxy_get_buffer_bytes(7, 0, size)[1]
        configuration = json.loads(text or b"{}")
        self.roots[root] = configuration.get("scripts", {}), configuration.get("case", "")

    # --- operations -----------------------------------------------------------------------------------------------

    def run(self, now: Running) -> None:
        """Run the operations that are left."""
        while now.operations:
            operation = list(now.operations.pop(0))
            keep = operation.pop(0)[1:] if operation[0].startswith("=") else ""
            less = operation.pop(0) if operation[0] in {"?", "#"} else ""
            name, *arguments = operation
            if name == "return":
                now.returns = arguments[0]
            elif name == "raw":
                self.raw = arguments[0]
            elif name == "raise":
                raise ValueError("on purpose")
            else:
                head, results = self.sdk(*arguments) if name == "sdk" else self.hostcall(name, arguments)
                first = next(iter(results), "")
                if keep and first:
                    self.kept[keep], results[first] = results[first], f"${keep}"
                now.results.append({**head, **reduced(results, less)})

    def hostcall(self, name: str, arguments: list[Any]) -> Outcome:
        """Its name and status, and its results if there are any."""
        call = HOSTCALLS[name]
        fields = [field.split(":") for field in call.params.split()]
        given = [self.value(value, *field) for value, field in zip(arguments, fields, strict=True)]
        answer = getattr(self._host, name)(*given)
        status, *results = answer if call.results else (answer,)
        head = {"call": name.removeprefix("proxy_"), "status": STATUSES[int(status)]}
        if status:
            return head, {}
        if name == "proxy_http_call":
            self.callers[results[0]] = self.case, self.kept
        of_pairs = name == "proxy_get_header_map_pairs"
        return head, {key: shown(value, pairs=of_pairs) for key, value in named(call.results, results).items()}

    def value(self, value: Any, field: str, kind: str) -> Any:
        """An argument of a hostcall."""
        if isinstance(value, str) and value[:1] == "$":
            kept = self.kept.get(value[1:], 0)
            return kept.encode("latin-1") if isinstance(kept, str) else kept
        if isinstance(value, str) and kind == "text" and not value.isascii():
            return value.encode("latin-1")
        if isinstance(value, list) and field in PAIRS:
            return encoded([(bytes_of(key), bytes_of(text)) for key, text in value])
        data = text_of(value).replace("{id}", self.case) if isinstance(value, (str, dict)) else value
        return data.encode("latin-1") if isinstance(data, str) and kind != "text" else data

    def sdk(self, name: str, *arguments: Any) -> Outcome:
        """Its name, and its result, or the name of what it raised."""
        given = [self.sdk_value(value) for value in arguments]
        function: Any = pwasm
        for part in name.split("."):
            function = getattr(function, part)
        try:
            return {"sdk": name}, {"returned": shown(function(*given))}
        except Exception as error:
            return {"sdk": name, "raised": type(error).__name__}, {}

    def sdk_value(self, value: Any) -> Any:
        if isinstance(value, str) and value[:1] == "$":
            return self.kept.get(value[1:], 0)
        if isinstance(value, list) and value[:1] == ["bytes"]:
            return bytes_of(value[1])
        if isinstance(value, list):
            return [tuple(pair) if isinstance(pair, list) else pair for pair in value]
        return text_of(value).replace("{id}", self.case) if isinstance(value, (str, dict)) else value


def named(fields: str, values: Sequence[Any]) -> dict[str, Any]:
    """The values with the names that the ABI's table has for them."""
    return dict(zip(_abi.names(fields), values, strict=True))


def reduced(results: dict[str, Any], less: str) -> dict[str, Any]:
    """Results as they are, their names alone, or with their lengths."""
    if less == "?":
        return dict.fromkeys(results, "…")
    return {name: {"length": len(value)} if less and value is not None else value for name, value in results.items()}


def text_of(value: Any) -> str:
    if isinstance(value, dict):
        ((text, times),) = value.items()
        return str(text) * int(times)
    return str(value)


def bytes_of(value: Any) -> bytes:
    return text_of(value).encode("latin-1")


def encoded(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Pairs as the ABI has them, also more than the SDK would send."""
    words = [len(pairs), *(len(part) for pair in pairs for part in pair)]
    data = b"".join(part + b"\0" for pair in pairs for part in pair)
    return b"".join(word.to_bytes(4, "little") for word in words) + data


def shown(value: Any, *, pairs: bool = False) -> Any:
    """A result in a form for JSON; long ones as their length, beginning and end."""
    if pairs:
        return [[shown(key), shown(text)] for key, text in _serde.decode_pairs(value)] if value else None
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("latin-1")
    if isinstance(value, str):
        return value if len(value) <= 200 else f"{value[:8]}…{len(value)}…{value[-8:]}"
    if isinstance(value, (list, tuple)):
        return [shown(part) for part in value]
    return value if value is None or isinstance(value, (bool, int, float)) else repr(value)


def _callback(export: str) -> Any:
    def callback(self: Probe, context_id: int, *arguments: int) -> Any:
        if export == "proxy_on_context_create" and arguments[0]:
            self.parents[context_id] = arguments[0]
        return self.enter(export, context_id, arguments)

    return callback


for _row in _abi.CALLBACKS:
    setattr(Probe, _row.name, _callback(_row.name))
