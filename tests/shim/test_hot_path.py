"""The shim's fast paths (streams.c, shortcuts.c) behave like the Python dispatcher, which is the reference.

Both get the same callbacks, in random order; every hostcall and every result must be the same.
"""

from __future__ import annotations

import importlib.util
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm import _abi, entrypoint
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._stream import marks
from pwasm._stream.in_vm import MEMORY
from pwasm.testing.wasm import WasmPlugin
from tests.support.paths import PROJECTS, ROOT

pytestmark = pytest.mark.wasm

PROJECT = PROJECTS / "hot_path"
KINDS = ("http", "open", "buffering", "numbered", "plain", "slotted", "leaving", "changing", "mixed")
FORMS = (
    *("PluginIsSet", "IdIsSet", "Defaults", "Called", "Asked", "Reads", "Misses", "Writes", "Subclassed", "Compared"),
    *("WithSlots", "Described"),
    *(f"formed-{seed}" for seed in range(24)),
)
"""What a class can look like; the last ones are several forms at once, by chance."""
HEADERS: dict[Any, bytes] = {"plain": b"value", "binary": b"\xff\xfe \xc3\xbc", "empty": b""}
CALLS = {call.name: call for call in _abi.HOSTCALLS}
SIZED = [
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_response_body",
]
TRAILERS = ["proxy_on_request_trailers", "proxy_on_response_trailers"]
ERROR = 4


MEMORY_ID = 99


class Host:
    """Answers every hostcall, and records the calls."""

    def __init__(self, *root_ids: str) -> None:
        self.root_ids = list(root_ids)
        self.calls: list[tuple[Any, ...]] = []
        self.token = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def answer(*arguments: Any) -> Any:
            if name == "proxy_define_metric" and arguments[1] in (MEMORY, MEMORY.encode()):
                return 0, MEMORY_ID
            if name == "proxy_increment_metric" and arguments[0] == MEMORY_ID:
                return 0  # outside of Wasm there is no memory
            self.calls.append((name, *(self._shown(name, arguments))))
            return self._answer(name, arguments)

        return answer

    def _shown(self, name: str, arguments: tuple[Any, ...]) -> list[Any]:
        """Texts as bytes; of a record about an exception the first line, since tracebacks are those of two Pythons."""
        shown: list[Any] = [
            value.encode("utf-8", "surrogateescape")
            if isinstance(value, str)
            else int(value)
            if isinstance(value, int)
            else value
            for value in arguments
        ]
        if name == "proxy_log" and arguments[0] >= ERROR:
            shown[1] = shown[1].partition(b"\n")[0].replace(f"{PROJECT}/".encode(), b"")
        return shown

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        results = _abi.kinds(CALLS[name].results)
        keys = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in arguments]
        if "refused" in keys:
            return (10, *(b"" if kind == "bytes" else 0 for kind in results)) if results else 10
        if name == "proxy_get_property" and keys == ["request\0method"]:
            return 0, b"GET"
        if name == "proxy_get_property" and keys[0].endswith("size"):
            return 0, bytes(8)
        if name == "proxy_get_property":
            return 0, self.root_ids.pop(0).encode()  # each plugin asks once
        if name == "proxy_get_log_level":
            return 0, 2
        if name == "proxy_get_header_map_value":
            return (0, HEADERS[keys[1]]) if keys[1] in HEADERS else (1, b"")
        if name == "proxy_http_call":
            self.token += 1
            return 0, self.token
        return (0, *(b"" if kind == "bytes" else 1 for kind in results)) if results else 0


def a_start(plugins: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for plugin in range(1, plugins + 1):
        yield "proxy_on_context_create", (plugin, 0)
        if plugin == 1:
            yield "proxy_on_vm_start", (plugin, 0)
        yield "proxy_on_configure", (plugin, 0)


def one_after_another(chance: random.Random, deeds: int, plugins: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The next stream must not see the effects of any action on the previous one."""
    for deed in range(deeds):
        for stream, number in ((10 + 2 * deed, deed), (11 + 2 * deed, 0)):
            yield "proxy_on_context_create", (stream, chance.randint(1, plugins))
            yield "proxy_on_request_headers", (stream, number, False)
            yield "proxy_on_response_headers", (stream, 0, False)
            yield "proxy_on_response_body", (stream, 0, True)
            yield "proxy_on_delete", (stream,)


def a_run(seed: int, deeds: int, plugins: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Callbacks of some hundred streams, of which several run at a time; the plugins' ids are the first numbers."""
    chance = random.Random(seed)
    yield from a_start(plugins)
    yield from one_after_another(chance, deeds, plugins)
    running: list[int] = []
    following = 10 + 2 * deeds
    for _ in range(2_000):
        what = chance.random()
        if what < 0.15 or not running:
            yield "proxy_on_context_create", (following, chance.randint(1, plugins) if chance.random() < 0.95 else 9)
            running.append(following)
            following += chance.choice((1, 1, 1, 64))
        elif what < 0.28:
            gone = running.pop(chance.randrange(len(running)))
            if chance.random() < 0.5:
                yield "proxy_on_done", (gone,)
            if chance.random() < 0.8:
                yield "proxy_on_log", (gone,)
            yield "proxy_on_delete", (gone,)
        elif what < 0.33:
            yield "proxy_on_http_call_response", (1, chance.randrange(1, 20), 0, 0, 0)
        elif what < 0.4:
            yield chance.choice(TRAILERS), (chance.choice(running), chance.randrange(deeds))
        else:
            stream = following if what > 0.99 else chance.choice(running)  # sometimes one that is not there
            yield chance.choice(SIZED), (stream, chance.randrange(deeds), chance.random() < 0.3)
    for stream in running:
        yield "proxy_on_delete", (stream,)


@pytest.fixture
def project() -> Any:
    """The filter's module, in this Python; its classes are registered."""
    spec = importlib.util.spec_from_file_location("pwasm_test_hot_path", PROJECT / "filter.py")
    assert spec is not None
    assert spec.loader is not None
    entrypoint.clear_registration()
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("seed", "kinds"), list(enumerate([*((kind,) for kind in (*KINDS, *FORMS)), KINDS])))
def test_both_ways_are_the_same(built: Callable[[str], Path], project: Any, kinds: tuple[str, ...], seed: int) -> None:
    hosts = Host(*kinds), Host(*kinds)
    reference: Any = Dispatcher(entrypoint.registration(), hosts[0])
    short: Any = WasmPlugin(built("hot_path"), hosts[1])
    answered = 0
    for name, arguments in a_run(seed, len(project.DEEDS), len(kinds)):
        results = [getattr(plugin, name)(*arguments) for plugin in (reference, short)]
        called = [host.calls for host in hosts]
        assert (results[1], called[1]) == (results[0], called[0]), (name, arguments)
        answered += len(called[0])
        for host in hosts:
            host.calls.clear()
    assert answered > 1_000
    assert not reference._streams
    assert not reference._unopened


@pytest.fixture
def where(built: Callable[[str], Path]) -> tuple[Host, Any]:
    """A host and the plugin `Where`, which has started."""
    host = Host("where")
    plugin: Any = WasmPlugin(built("hot_path"), host)
    for name, arguments in a_start(1):
        getattr(plugin, name)(*arguments)
    host.calls.clear()
    return host, plugin


def test_action_is_immutable(where: tuple[Host, Any]) -> None:
    """So that the interpreter remembers `Action.CONTINUE` in the code."""
    host, plugin = where
    plugin.proxy_on_context_create(2, 1)
    plugin.proxy_on_response_headers(2, 1, True)
    assert host.calls[-1] == ("proxy_log", 2, b"immutable True")


def test_contexts_that_are_over_are_given_to_other_streams(where: tuple[Host, Any]) -> None:
    """Otherwise their memory would be reused by objects that a tick creates."""
    host, plugin = where
    plugin.proxy_on_context_create(1000, 1)
    plugin.proxy_on_request_headers(1000, 1, True)
    plugin.proxy_on_delete(1000)  # the first one tells Python how large the memory is, and goes there
    host.calls.clear()
    for first in range(2, 400, 40):
        streams = range(first, first + 40)
        for stream in streams:
            plugin.proxy_on_context_create(stream, 1)
            plugin.proxy_on_request_headers(stream, 1, True)
        for stream in streams:
            plugin.proxy_on_delete(stream)
        plugin.proxy_on_tick(1)
    logged = [arguments for name, *arguments in host.calls if name == "proxy_log"]
    assert len(logged) == 400
    assert len({text for _, text in logged}) == 40


def test_the_shim_knows_the_same_marks() -> None:
    source = (ROOT / "runtime-shim" / "pwasm_shim" / "src" / "streams.c").read_text(encoding="utf-8")
    (listed,) = re.findall(r"enum \{ (BODY_SEEN[^}]*) \}", source)
    assert {name: int(value) for name, value in re.findall(r"(\w+) = (\d+)", listed)} == {
        name: getattr(marks, name) for name in ("BODY_SEEN", "HEADERS_PAUSED", "HEADERS_HELD")
    }
