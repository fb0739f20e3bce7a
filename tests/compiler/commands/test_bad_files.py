"""Invalid files, under unusual names, for every command: one message each, and nothing is written.

No command hangs on a pipe, reads a device or a file of 2 GiB, or shows a name's bytes to the terminal as they are.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from pwasm_compiler import cli

MODULE = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))
"""
CALLS = MODULE.replace("(i32.const 0))", "(call 0) (i32.const 0))", 1)
FILTER = "import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n"
WITH_CONFIGURATION = f"""
import dataclasses
{FILTER}

@dataclasses.dataclass
class Config:
    pass


class Plugin(pwasm.PluginContext):
    config: Config


pwasm.set_plugin_context(Plugin)
"""
HUGE = 2 << 30
"""Bytes, none of them on the disk."""
ENVOY = "--envoy=/bin/true"  # found, and not started: the file is looked at before

# What takes a file → the command, with {} for its name, and how such a name ends.
COMMANDS = {
    "inspect": ("inspect {}", ".wasm"),
    "inspect an image": ("inspect {}", ".tar"),
    "build": ("build {}", ".py"),
    "run a module": (f"run --no-build {ENVOY} --port 0 --admin-port 0 {{}}", ".wasm"),
    "run a filter": (f"run --no-build {ENVOY} --port 0 --admin-port 0 {{}}", ".py"),
    "run -c": (f"run --no-build {ENVOY} --port 0 --admin-port 0 -c {{}} good", ".yaml"),
    "run --plugin-config": (f"run --no-build {ENVOY} --plugin-config {{}} good.wasm", ".yaml"),
    "optimize": ("optimize {} -o out.wasm --no-measure", ".wasm"),
    "optimize --plugin-config": ("optimize calls.wasm -o out.wasm --plugin-config {}", ".yaml"),
    "package": ("package {} -o out.tar", ".wasm"),
    "push": ("push 127.0.0.1:1/x/y {}", ".wasm"),
    "push an image": ("push 127.0.0.1:1/x/y {}", ".tar"),
    "schema": ("schema {}", ".py"),
    "schema --check": ("schema good --check {}", ".yaml"),
    "config": ("config {} -o out.yaml", ".wasm"),
    "config -c": ("config good.wasm -c {} -o out.yaml", ".yaml"),
    "config --plugin-config": ("config good.wasm --plugin-config {} -o out.yaml", ".json"),
    "config --schema": ("config good.wasm --plugin-config good.json --schema {} -o out.yaml", ".json"),
    "test": ("test {}", ".py"),
    "test a suite": ("test {}", ".yaml"),
    "test --module": ("test good --module {}", ".wasm"),
}


def nothing(_path: Path) -> None:
    pass


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)  # relative: such an address has at most 107 bytes


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE)


# What is there → how it is made, the exit code, what the message says.
FILES: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "nothing": (nothing, 2, "no such file or directory"),
    "a broken link": (lambda path: path.symlink_to("gone"), 2, "It is a dangling link to gone."),
    "a circle of links": (lambda path: path.symlink_to(path.name), 1, "Too many levels of symbolic links"),
    "a pipe": (fifo, 1, "It is a pipe, not a file."),
    "a socket": (socket_file, 1, "It is a socket, not a file."),
    "a device": (lambda path: path.symlink_to("/dev/zero"), 1, "It is a device, not a file."),
    "a huge file": (huge, 1, "MiB"),
}

# What is in a file of the right kind → its bytes.
CONTENTS = {"empty": b"", "text": b"hello, I am text: {\n", "not UTF-8": b"\xff\xfe" * 40, "NUL bytes": bytes(400)}

# Names that are unusual, and good: the command must work, or refuse for another reason.
NAMES = {
    "spaces": "a  b",
    "UTF-8": "grüße-山",
    "a newline": "a\nb",
    "an escape": "a\x1b[31mb",
    "a byte that is not UTF-8": os.fsdecode(b"a\xffb"),
    "a dash": "-a",
}


class Called:
    """`pwasm` in an empty folder, through its real entry point, with the checks that apply to every result."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, command: str, name: str | Path = "") -> tuple[int, str, str]:
        before = self._files()
        with pytest.raises(SystemExit) as exited:
            cli.main([str(name) if word == "{}" else word for word in command.split()])
        out, err = self._capfd.readouterr()
        assert isinstance(exited.value.code, int)
        assert "Traceback" not in err
        assert "bug in pwasm" not in err
        assert all(letter.isprintable() or letter == "\n" for letter in out + err)
        if exited.value.code and not out.startswith("====="):  # pytest's own words
            assert len(re.findall("(?im)^error: ", err)) == 1, err
            assert out == ""
            assert self._files() == before, "something was left behind"
        return exited.value.code, out, err

    @staticmethod
    def _files() -> set[str]:
        return {str(path) for path in Path().rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture
def pwasm(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Called:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PWASM_TRACEBACK", raising=False)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "filter.py").write_text(FILTER)
    (tmp_path / "good" / "main.wasm").write_bytes(wasmtime.wat2wasm(MODULE))
    (tmp_path / "good.wasm").write_bytes(wasmtime.wat2wasm(MODULE))
    (tmp_path / "calls.wasm").write_bytes(wasmtime.wat2wasm(CALLS))
    (tmp_path / "good.json").write_text("{}")
    return Called(capfd)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_readable_file(pwasm: Called, command: str, file: str) -> None:
    line, suffix = COMMANDS[command]
    make, code, said = FILES[file]
    make(Path(f"bad{suffix}"))
    found, _, err = pwasm(line, f"bad{suffix}")
    assert (found, f"bad{suffix}" in err, said in err) == (code, True, True), err


FOLDERS = ("build", "run a filter", "schema", "test", "test --module")
"""What takes a folder whatever its name is."""


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in FOLDERS])
def test_a_folder_in_the_place_of_a_file(pwasm: Called, command: str) -> None:
    line, suffix = COMMANDS[command]
    Path(f"bad{suffix}").mkdir()
    code, _, err = pwasm(line, f"bad{suffix}")
    assert code in (1, 2)
    assert f"bad{suffix}" in err
    assert "folder" in err or "is not a" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_may_not_be_read(pwasm: Called, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so that it may not is pretended."""
    line, suffix = COMMANDS[command]
    Path(f"bad{suffix}").write_bytes(b"")
    really = os.access
    monkeypatch.setattr(os, "access", lambda name, mode: not str(name).endswith(f"bad{suffix}") and really(name, mode))
    code, _, err = pwasm(line, f"bad{suffix}")
    assert (code in (1, 2), f"bad{suffix}" in err) == (True, True), err
    assert "Permission denied" in err or "is not readable" in err  # the latter says click, where it knows of the file


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_that_is_too_long(pwasm: Called, command: str) -> None:
    line, suffix = COMMANDS[command]
    code, _, err = pwasm(line, "/".join(["a" * 200] * 25) + suffix)
    assert (code, "File name too long" in err) == (1, True), err
    assert len(err) < 1000


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("suffix", [".wasm", ".tar"])
@pytest.mark.parametrize("command", ["inspect", "run a module", "optimize", "package", "push", "config"])
def test_what_is_no_module_and_no_image(pwasm: Called, command: str, suffix: str, content: str) -> None:
    line, _ = COMMANDS[command]
    Path(f"bad{suffix}").write_bytes(CONTENTS[content])
    code, _, err = pwasm(line, f"bad{suffix}")
    assert (code, f"bad{suffix}" in err) == (1, True), err


NO_CONFIGURATION = [
    (command, content)
    for command in ("run --plugin-config", "optimize --plugin-config", "schema --check", "config -c", "config --schema")
    for content in ("text", "not UTF-8", "NUL bytes")
]


@pytest.mark.parametrize(
    ("command", "content"),
    # A configuration that is not YAML by its name is any text, and what Envoy makes of its own file it says itself.
    [*NO_CONFIGURATION, ("config --plugin-config", "not UTF-8"), ("run -c", "not UTF-8")],
)
def test_what_is_no_configuration(pwasm: Called, command: str, content: str) -> None:
    line, suffix = COMMANDS[command]
    Path(f"bad{suffix}").write_bytes(CONTENTS[content])
    code, _, err = pwasm(line, f"bad{suffix}")
    assert (code, f"bad{suffix}" in err) == (1, True), err


@pytest.mark.programs
@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_suite(pwasm: Called, content: str) -> None:
    """pytest reports it, on standard output."""
    Path("bad.yaml").write_bytes(CONTENTS[content])
    code, out, _ = pwasm("test {}", "bad.yaml")
    assert (code, "bad.yaml" in out, "Traceback" in out, "INTERNALERROR" in out) == (1, True, False, False), out


# -- names that are unusual, and good


@pytest.mark.programs
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["inspect", "package", "config", "schema --check"])
def test_a_name_is_shown_and_not_sent_to_the_terminal(pwasm: Called, command: str, name: str) -> None:
    line, suffix = COMMANDS[command]
    file = Path.cwd() / f"{NAMES[name]}{suffix}"
    Path("good/filter.py").write_text(WITH_CONFIGURATION)
    file.write_bytes(b"{}" if suffix == ".yaml" else Path("good.wasm").read_bytes())
    code, _, err = pwasm(line, file)
    if (command, name) == ("config", "a byte that is not UTF-8"):
        assert (code, "Envoy requires UTF-8 file names" in err) == (2, True)
    else:
        assert (code, err.replace("wrote out.yaml\n", "")) == (0, ""), err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_in_a_message(pwasm: Called, command: str, name: str) -> None:
    line, suffix = COMMANDS[command]
    code, _, err = pwasm(line, Path.cwd() / f"{NAMES[name]}{suffix}")
    assert (code, ": no such file or directory\n" in err) == (2, True)


@pytest.mark.parametrize("name", ["an escape", "a byte that is not UTF-8"])
def test_a_name_in_a_message_of_any_kind(pwasm: Called, name: str) -> None:
    """Wherever the message comes from, it is escaped when it is printed."""
    Path(NAMES[name]).mkdir()
    code, _, err = pwasm("build {}", NAMES[name])
    assert (code, ascii(NAMES[name])[1:-1] in err, "is not a filter" in err) == (1, True, True)


@pytest.mark.wasm
@pytest.mark.parametrize("name", NAMES)
def test_a_filter_in_a_folder_of_that_name(pwasm: Called, name: str) -> None:
    folder = Path.cwd() / NAMES[name]
    folder.mkdir()
    (folder / "filter.py").write_text(FILTER)
    filename = "--filename main.wasm"
    for command in ("build {}", "package {} -o image.tar", f"config {{}} {filename} -o out.yaml", "schema {}"):
        code, _, err = pwasm(command, folder)
        assert code == 0, err


# -- what is written


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("build good -o good/filter.py", "good/filter.py is part of the filter"),
        ("build good -o good/pyproject.toml", "good/pyproject.toml is part of the filter"),
        ("build good -o link.wasm", "link.wasm is part of the filter"),
        ("package good.wasm -o good.wasm", "good.wasm exists and is not a folder"),
        ("optimize good.wasm -o good.wasm", "--output would overwrite good.wasm"),
        ("optimize good.wasm --plugin-config good.json -o ./good.json", "--output would overwrite good.json"),
        ("config good.wasm -o good.wasm", "--output would overwrite good.wasm"),
        ("config good.wasm --plugin-config good.json -o good.json", "--output would overwrite good.json"),
        ("config good.wasm --plugin-config good.json --ecds good.json", "--ecds would overwrite good.json"),
        ("config good.wasm --ecds x.yaml -o x.yaml", "--ecds would overwrite x.yaml"),
        ("config good.wasm -c x.yaml --ecds ./x.yaml", "--ecds would overwrite x.yaml"),
    ],
)
def test_what_is_read_is_not_overwritten(pwasm: Called, command: str, said: str) -> None:
    Path("good/pyproject.toml").touch()
    Path("link.wasm").symlink_to("good/filter.py")
    code, _, err = pwasm(command)
    assert (code, said in err) == (2, True), err
    assert Path("good/filter.py").read_text() == FILTER


# Commands that write → with {} for the name, and how it ends.
WRITING = {
    "build": ("build good -o {}", ".wasm"),
    "package": ("package good.wasm -o {}", ".tar"),
    "config": ("config good.wasm -o {}", ".yaml"),
    "config --ecds": ("config good.wasm --ecds {}", ".yaml"),
}
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (lambda path: path.mkdir(), "It is a folder"),
    "a pipe": (fifo, "It is a pipe, not a file"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "It is a device, not a file"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", WRITING)
def test_only_files_are_replaced(pwasm: Called, command: str, place: str) -> None:
    line, suffix = WRITING[command]
    make, said = PLACES[place]
    make(Path(f"out{suffix}"))
    code, _, err = pwasm(line, f"out{suffix}")
    assert (code, f"cannot write out{suffix}" in err, said in err) == (1, True, True), err


@pytest.mark.parametrize("command", WRITING)
def test_a_folder_that_is_missing(pwasm: Called, command: str) -> None:
    line, suffix = WRITING[command]
    code, _, err = pwasm(line, f"missing/out{suffix}")
    assert (code, "The folder missing does not exist" in err) == (1, True), err


@pytest.mark.parametrize("command", WRITING)
def test_a_folder_that_may_not_be_written(pwasm: Called, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file system that is mounted read-only answers, to root too."""
    line, suffix = WRITING[command]
    monkeypatch.setattr(os, "access", lambda _name, mode: not mode & os.W_OK)
    code, _, err = pwasm(line, f"out{suffix}")
    assert (code, f"cannot write out{suffix}\nPermission denied" in err) == (1, True), err


@pytest.mark.wasm
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("command", [*WRITING, "package to a folder"])
def test_a_disk_that_is_full(pwasm: Called, command: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line, suffix = WRITING.get(command, ("package good.wasm -o {}", ""))
    old = f"out{suffix}" if suffix else "other"
    Path(old).write_text("of before")
    really = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if not path.absolute().is_relative_to(Path.cwd()):
            return really(path, data)
        really(path, data[: len(data) // 2])
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    code, _, err = pwasm(line, f"out{suffix}")
    assert (code, os.strerror(number) in err) == (1, True), err
    assert Path(old).read_text() == "of before"


# -- sources


@pytest.mark.parametrize("command", ["build {}", "schema {}", "test {}", f"run {ENVOY} {{}}", "package {}"])
@pytest.mark.parametrize(
    "file", ["a pipe", "a device", "a huge file", "a circle of links", "a broken link", "a socket"]
)
def test_a_pyproject_that_is_no_file(pwasm: Called, file: str, command: str) -> None:
    make, _, said = FILES[file]
    folder = Path.cwd()
    os.chdir("good")  # a socket's address is relative
    make(Path("pyproject.toml"))
    os.chdir(folder)
    code, _, err = pwasm(command, "good")
    assert (code in (1, 2), "pyproject.toml" in err, said.replace("MiB", "KiB") in err) == (True, True, True), err


def test_a_huge_file_in_a_package(pwasm: Called) -> None:
    Path("good/data").mkdir()
    Path("good/data/__init__.py").touch()
    huge(Path("good/data/table.bin"))
    code, _, err = pwasm("build good")
    assert (code, "table.bin is larger than 256 MiB" in err) == (1, True), err


def test_a_source_whose_name_is_not_utf8(pwasm: Called) -> None:
    Path("good", f"{NAMES['a byte that is not UTF-8']}.py").touch()
    Path("good", "good").mkdir()
    Path("good", "good", "__init__.py").touch()
    Path("good", "good", f"{NAMES['a byte that is not UTF-8']}.bin").touch()
    code, _, err = pwasm("build good")
    assert (code, "b.bin is not valid UTF-8" in err) == (1, True), err


SOURCES = {
    # what is in filter.py → whether it builds, and what is said
    "not UTF-8": (FILTER.encode() + b"NAME = 'gr\xf6\xdfe'\n", False, "SyntaxError"),
    "NUL bytes": (
        b"\n" + FILTER.encode() + b"A = 1\0\n",
        False,
        f"filter.py, line {FILTER.count(chr(10)) + 2}: source code cannot contain null bytes",
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + FILTER.encode(), True, ""),
    "50 MB made": (FILTER.encode() + b"TABLE = b'x' * 50_000_000\n", True, ""),
    "50 MB written out": (FILTER.encode() + b"TABLE = '" + b"x" * 50_000_000 + b"'\n", True, ""),
}


@pytest.mark.wasm
@pytest.mark.parametrize("name", SOURCES)
def test_sources(pwasm: Called, name: str) -> None:
    text, builds, said = SOURCES[name]
    Path("good/filter.py").write_bytes(text)
    code, _, err = pwasm("build good -o out.wasm")
    assert (code == 0, said in err) == (builds, True), err[:2000]
    assert len(err) < 10_000
