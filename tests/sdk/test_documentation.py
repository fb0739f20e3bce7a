"""`help(pwasm)` reads like documentation: what, errors, and where in the ABI, for every function."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import pwasm
from pwasm import aio, foreign, go, properties

NAMES = [name for name in pwasm.__all__ if inspect.isfunction(getattr(pwasm, name))]
# What the SDK does without the host.
OWN = {"get_plugin_configuration", "get_vm_configuration", "set_step_budget", "set_time_budget"}


@pytest.mark.parametrize("name", NAMES)
def test_function(name: str) -> None:
    doc = getattr(pwasm, name).__doc__
    assert doc
    assert doc.splitlines()[0].strip(), "the first line says what it does"
    assert re.search(r"may\s+be\s+called", doc, re.IGNORECASE), "it says in which callbacks"
    if name.startswith(("log_", "set_vm_", "set_plugin_", "set_http_context", "set_tcp_")) or name in OWN:
        return
    assert "proxy_" in doc, "it names its hostcall"
    assert "Raises:" in doc or "rrors" in doc


@pytest.mark.parametrize("name", pwasm.__all__)
def test_every_public_thing_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(pwasm, name))


@pytest.mark.parametrize("module", [aio, foreign, properties, go], ids=lambda module: module.__name__)
def test_module(module: Any) -> None:
    assert module.__doc__
    for name in getattr(module, "__all__", []):
        if inspect.isfunction(getattr(module, name)):
            assert getattr(module, name).__doc__


def test_the_overview_names_every_topic() -> None:
    assert pwasm.__doc__
    for word in ("dispatch_http_call", "get_shared_data", "define_counter_metric", "pwasm.properties", "pwasm.foreign"):
        assert word in pwasm.__doc__
