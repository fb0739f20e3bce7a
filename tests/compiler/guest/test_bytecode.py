"""Compiled sources are the same regardless of where, when and with what else they are compiled."""

from __future__ import annotations

import functools
import io
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.build.stage import ignore
from pwasm_compiler.cache import Cache
from pwasm_compiler.cpython314 import IMPORTED_AT_START
from pwasm_compiler.guest.bytecode import Bytecode, Options
from pwasm_compiler.guest.interpreter import Interpreter, load_interpreter, start
from pwasm_compiler.guest.machine import Machine
from pwasm_compiler.guest.wasi import Wasi

SOURCES = {
    "first.py": b'"""Doc."""\nfrom second import name\ndef shared(name="a shared text", *names):\n    return name\n',
    "second.py": b'name = ("a shared text", 1000, "names")\nclass Shared:\n    shared = name\n',
    "wrong.py": b"def:\n",
    "third.py": b"import first, second\nnames = [first.shared(), second.Shared.shared, 1000]\n",
}


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return load_interpreter(Cache(), print)


@pytest.mark.wasm
def test_threads_and_order_do_not_matter(interpreter: Interpreter, tmp_path: Path) -> None:
    def calls(folder: str) -> tuple[Bytecode, dict[str, Callable[[], bytes]]]:
        bytecode = Bytecode(interpreter, Cache(tmp_path / folder), ignore)
        reads = {name: functools.partial(bytes, source) for name, source in SOURCES.items()}
        return bytecode, {name: functools.partial(bytecode.of, name, read, Options()) for name, read in reads.items()}

    _, one_by_one = calls("one")
    ordered = {name: call() for name, call in one_by_one.items()}
    bytecode, at_once = calls("many")
    with bytecode.ahead(list(at_once.values())):
        assert {name: at_once[name]() for name in reversed(SOURCES)} == ordered
    assert ordered["wrong.py"] == b""
    assert all(ordered[name] for name in SOURCES if name != "wrong.py")


def test_a_source_is_compiled_once(interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, asked, compiled = threading.Event(), threading.Event(), []

    def slow(_self: Bytecode, name: str, _source: bytes, _options: Options) -> tuple[bytes, list[str]]:
        compiled.append(name)
        begun.set()
        asked.wait(10)
        return bytes(4) + b"code", []

    monkeypatch.setattr(Bytecode, "_compile", slow)
    bytecode = Bytecode(interpreter, Cache(tmp_path), ignore)
    ask = functools.partial(bytecode.of, "a.py", lambda: b"pass", Options())
    with bytecode.ahead([ask, ask]):
        begun.wait(10)
        threading.Timer(0.05, asked.set).start()
        assert ask() == b"code"
    assert compiled == ["a.py"]


def test_an_error_reaches_everybody_who_waits(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> tuple[bytes, list[str]]:
        raise OSError("no memory")

    monkeypatch.setattr(Bytecode, "_compile", broken)
    bytecode = Bytecode(interpreter, Cache(tmp_path), ignore)
    ask = functools.partial(bytecode.of, "a.py", lambda: b"pass", Options())
    with bytecode.ahead([ask]):
        for _ in range(2):
            with pytest.raises(OSError, match="no memory"):
                ask()


def test_what_is_compiled_ahead_is_there(interpreter: Interpreter) -> None:
    there = zipfile.ZipFile(io.BytesIO(interpreter.base.library)).namelist()
    assert {name.removesuffix(".py") for name in there}.issuperset(IMPORTED_AT_START)


@pytest.mark.wasm
def test_a_guest_goes_on_where_another_came(interpreter: Interpreter, tmp_path: Path) -> None:
    _, wasi = Bytecode(interpreter, Cache(tmp_path), ignore)._start(columns=False)
    before = Machine(interpreter.engine, interpreter.module, fresh(wasi))
    started = start(interpreter, fresh(wasi), 60)
    change = started.image().since(before.image())
    assert 0 < sum(len(piece) for _, piece in change.pieces) < change.size
    before.restore(change)
    assert before.image() == started.image()


def fresh(wasi: Wasi) -> Wasi:
    return Wasi(wasi.files, wasi.mounts, wasi.environment, wasi.seed)
