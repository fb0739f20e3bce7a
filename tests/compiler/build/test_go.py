"""Go filters built by a real Go: the one on PATH, else the wheel's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.build.backends.choose import MIGRATION
from pwasm_compiler.build.backends.go import GO
from pwasm_compiler.build.backends.toolchain import Toolchain, find
from pwasm_compiler.errors import BuildError, PwasmError, ToolError, VerifyError
from pwasm_compiler.gomod import OFFICIAL_PATH, TETRATELABS_PATH
from pwasm_compiler.inspect import report
from pwasm_compiler.project import is_stale, load_project
from tests.support.paths import GO_REFERENCE, PROJECTS

pytestmark = pytest.mark.wasm

TUTORIAL = PROJECTS / "go_tutorial"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of filters/go_reference, to be spoilt."""
    made = tmp_path / "go_reference"
    shutil.copytree(GO_REFERENCE, made, ignore=shutil.ignore_patterns("main.wasm*"))
    return made


def go() -> Toolchain:
    found = find(GO, Path.cwd())
    assert isinstance(found, Toolchain)
    return found


def test_the_reference_filter(built: Callable[[str], Path]) -> None:
    found = report(built(str(GO_REFERENCE)))
    assert found["accepted"] is True
    assert found["oldest_envoy"] == "1.33"
    assert found["abi"] == "0_2_0"
    assert "proxy_on_response_headers" in found["callbacks"]
    assert f"Go go{go().version}" in found["producers"]
    assert {"proxy_log", "proxy_add_header_map_value"} <= set(found["hostcalls"])


def test_it_is_formatted() -> None:
    gofmt = go().program.resolve().with_name("gofmt")
    if not gofmt.exists():  # the script of a wheel, or a link
        root = subprocess.run([go().program, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout
        gofmt = Path(root.strip(), "bin", "gofmt")
    unformatted = subprocess.run([gofmt, "-l", "."], cwd=GO_REFERENCE, capture_output=True, text=True, check=True)
    assert unformatted.stdout == ""


def test_a_module_is_stale_after_an_edit(folder: Path) -> None:
    project = load_project(folder)
    assert is_stale(project)
    project.output.write_bytes(b"")
    for file in (*folder.iterdir(), project.output):
        os.utime(file, (1, 1))
    assert not is_stale(project)
    assert is_stale(load_project(folder, "go"))  # what made it is not known
    os.utime(folder / "main.go", (2, 2))
    assert is_stale(project)


def edit(file: Path, was: str, now: str) -> None:
    text = file.read_text()
    assert was in text
    file.write_text(text.replace(was, now))


def spoil_source(folder: Path) -> None:
    edit(folder / "main.go", 'proxywasm.LogInfo("adding the header")', "proxywasm.LogEverything()")


def spoil_syntax(folder: Path) -> None:
    edit(folder / "main.go", "func main() {}", "func main() {")


def forget_checksums(folder: Path) -> None:
    (folder / "go.sum").unlink()


def ask_for_a_newer_go(folder: Path) -> None:
    edit(folder / "go.mod", "go 1.24", "go 1.99")


def spoil_go_mod(folder: Path) -> None:
    edit(folder / "go.mod", "require ", "requires ")


def forget_main(folder: Path) -> None:
    edit(folder / "main.go", "func main() {}", "")


def be_a_library(folder: Path) -> None:
    edit(folder / "main.go", "package main", "package filter")


def leave_the_sdk_out(folder: Path) -> None:
    (folder / "main.go").write_text("package main\n\nfunc main() {}\n")


@pytest.mark.parametrize(
    ("spoil", "kind", "parts"),
    [
        (spoil_source, BuildError, ["main.go:21:", "undefined: proxywasm.LogEverything"]),
        (spoil_syntax, BuildError, ["main.go:", "syntax error"]),
        (
            forget_checksums,
            BuildError,
            ["missing go.sum entry", "hint: bring go.mod and go.sum up to date: go mod tidy"],
        ),
        (ask_for_a_newer_go, BuildError, ["requires go >= 1.99", "GOTOOLCHAIN=auto lets go download"]),
        (spoil_go_mod, BuildError, ["go.mod:5: unknown directive: requires", "hint: fix go.mod"]),
        (forget_main, BuildError, ["function main is undeclared", "hint: a filter is one `package main`"]),
        (be_a_library, BuildError, ["requires exactly one main package", "hint: a filter is one `package main`"]),
        (leave_the_sdk_out, VerifyError, ["this is not a Proxy-Wasm module", "must import a Proxy-Wasm SDK"]),
    ],
)
def test_errors(folder: Path, spoil: Callable[[Path], None], kind: type[PwasmError], parts: list[str]) -> None:
    spoil(folder)
    with pytest.raises(kind) as caught:
        build(load_project(folder, "go"), folder / "main.wasm")
    for part in parts:
        assert part in str(caught.value)
    assert not list(folder.glob("*.wasm*"))


def test_modules_without_a_network(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    with pytest.raises(BuildError) as caught:
        build(load_project(folder, "go"), folder / "main.wasm")
    assert "dial tcp 127.0.0.1:1" in caught.value.why
    assert "run `go mod download` where it is available" in caught.value.hint
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(BuildError, match="module lookup disabled") as caught:
        build(load_project(folder, "go"), folder / "main.wasm")
    assert "run `go mod download` where it is available" in caught.value.hint


def test_the_tutorials_filter_is_migrated_as_the_error_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Steps 1 and 2; step 3, `go mod tidy`, has been done in the reference filter's go.mod and go.sum."""
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))  # no TinyGo there, if this machine has one
    with pytest.raises(ToolError) as caught:
        build(load_project(TUTORIAL), folder / "main.wasm")
    assert caught.value.hint == MIGRATION
    assert MIGRATION.endswith("3. go mod tidy")
    monkeypatch.setenv("PATH", path)

    shutil.copy(TUTORIAL / "main.go", folder)
    edit(folder / "main.go", TETRATELABS_PATH, OFFICIAL_PATH)
    half_done = build(load_project(folder, "go"), folder / "main.wasm")
    assert half_done.warnings == (
        "main.go registers its contexts in main(), which Envoy never calls: do it in init() instead",
    )
    edit(folder / "main.go", "func main() {\n", "func main() {}\n\nfunc init() {\n")
    artifact = build(load_project(folder, "go"), folder / "main.wasm")
    assert artifact.warnings == ()
    host = HostEmulator(plugin=lambda host: WasmPlugin(artifact.path, host))
    assert host.request("GET", "/one").headers["x-wasm-custom"] == "FOO"
