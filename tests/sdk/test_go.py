"""Every name of the Go SDK has one in Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import pwasm
from pwasm import go
from pwasm.testing import HostEmulator

GO: dict[str, list[str]] = json.loads(Path(__file__).with_name("go_names.json").read_text(encoding="utf-8"))
ALL = sorted({name for names in GO.values() for name in names})


def python_of(go_name: str) -> Any:
    value: Any = pwasm
    for part in go.NAMES[go_name].split("."):
        value = getattr(value, part)
    return value


def test_the_list_is_complete() -> None:
    """80 functions of hostcall.go; the older line has one entry point and the official four."""
    for (module, names), entry_points in zip(GO.items(), (4, 1), strict=True):
        functions = [name for name in names if name.startswith("func ")]
        assert len(functions) == len(set(functions)) == 80 + entry_points, module
        assert {"func DispatchHttpCall", "const ActionPause", "method HttpContext.OnHttpStreamDone"} <= set(names)


@pytest.mark.parametrize("entry", ALL)
def test_name(entry: str) -> None:
    kind, _, name = entry.partition(" ")
    if name in go.OTHERS:
        assert getattr(go, name) == go.OTHERS[name]
        return
    value = python_of(name)
    if kind == "method":
        assert callable(value)
        return
    assert name in go.__all__
    if not name.startswith("Default"):
        assert getattr(go, name) is value
    if kind == "func":
        assert go.NAMES[name] in pwasm.__all__
        assert value.__doc__


@pytest.mark.parametrize("name", [entry.removeprefix("func ") for entry in ALL if entry.startswith("func ")])
def test_names_are_the_mechanical_ones(name: str) -> None:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    assert go.NAMES[name] == snake


def test_nothing_in_the_table_is_made_up() -> None:
    known = {entry.partition(" ")[2] for entry in ALL}
    assert {*go.NAMES, *go.OTHERS} == known


def test_a_filter_in_go_spelling() -> None:
    class Filter(go.DefaultHttpContext):  # type: ignore[misc]
        def OnHttpResponseHeaders(self, numHeaders: int, endOfStream: bool) -> Any:  # noqa: N803
            go.AddHttpResponseHeader("x-wasm-custom", "FOO")
            return go.ActionContinue

    class Plugin(go.DefaultPluginContext):  # type: ignore[misc]
        def OnPluginStart(self, pluginConfigurationSize: int) -> Any:  # noqa: N803
            return go.OnPluginStartStatusOK if pluginConfigurationSize else go.OnPluginStartStatusFailed

    host = HostEmulator(Plugin, Filter, plugin_configuration="x")
    assert host.request().headers["x-wasm-custom"] == "FOO"
    assert not HostEmulator(Plugin, Filter).started
