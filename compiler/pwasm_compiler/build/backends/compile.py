"""Run a Go compiler, verify its output, and install it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ...errors import BuildError, ProjectError, ToolError
from ...files import check_writable, scratch_folder, write_atomically
from ...gomod import GO_MODULE
from ...project import Project
from ...wasm.decode import decode_module
from ..pipeline import Artifact
from ..stage import ignore
from ..verify import callbacks_of, hostcalls_of, verify_foreign
from .toolchain import Toolchain

TIMEOUT_SECONDS = 900
"""The first build also compiles Go's standard library, and downloads modules."""

_LAST_LINES = 60
_HINTS = (
    # The compiler's message → hint; the first match wins.
    (
        r"dial tcp|no such host|i/o timeout|connection refused|network is unreachable|TLS handshake"
        r"|module lookup disabled by GOPROXY",
        "modules are missing, and the network is unavailable: run `go mod download` where it is available",
    ),
    (
        r"missing go\.sum entry|updates to go\.mod needed|no required module provides package|go mod tidy",
        f"bring {GO_MODULE} and go.sum up to date: go mod tidy",
    ),
    (
        r"requires go version \d",  # TinyGo's wording
        "put a Go version that TinyGo supports first on PATH, or use a newer TinyGo",
    ),
    (
        r"hostcall_utils_tinygo\.go:\d+:\d+: cannot use uintptr",
        "this version of the SDK is for an older TinyGo: go get github.com/tetratelabs/proxy-wasm-go-sdk@v0.24.0",
    ),
    (
        r"requires go ?>=? ?\d|note: module requires Go",
        f"use the required Go version; GOTOOLCHAIN=auto lets go download the one that {GO_MODULE} requires",
    ),
    (
        r"errors parsing go\.mod|go\.mod:\d+:|malformed|unknown revision|invalid version|reading .*go\.mod",
        f"fix {GO_MODULE}; `go mod verify` and `go mod tidy` report details",
    ),
    (
        r"requires exactly one main package|is not a main package|function main is undeclared|expected 'package'"
        r"|no Go files|build constraints exclude all",
        "a filter is one `package main` with an empty main(); it registers its contexts in init()",
    ),
    (
        r"invalid go version '|-buildmode=c-shared not supported|flag provided but not defined",
        "use a newer version of the compiler",
    ),
)
# As gofmt writes it: on one line, or up to the first line that begins with a brace.
_MAIN = re.compile(r"^func\s+main\(\s*\)\s*\{(.*\}[ \t]*(?://.*)?$|.*\n(?:(?!\}).*\n)*)", re.MULTILINE)
_REGISTRATION = re.compile(r"\bproxywasm\.Set\w+Context\b")


def compile_go(
    project: Project, toolchain: Toolchain, output: Path, *, progress: Callable[[str], None] = ignore
) -> Artifact:
    """Build the Go filter `project` into `output`, which is only replaced by a module that Envoy would load.

    Raises:
        ProjectError: the folder has no Go source.
        BuildError: the compiler failed; includes its output.
        ToolError: the compiler cannot be run, or `output` cannot be written.
        BinaryError: Envoy would not load its output.
    """
    check_writable(output)
    warnings = _check_sources(project, toolchain)
    start = time.perf_counter()
    progress(f"compiling with {toolchain}")
    data, said = _compiled(project, toolchain)
    compiled = time.perf_counter()
    progress("verifying the module")
    module = decode_module(memoryview(data))
    verify_foreign(module, str(toolchain))
    write_atomically(output, data)
    # The names file of an earlier Python build would describe another module.
    output.with_name(output.name + ".names").unlink(missing_ok=True)
    end = time.perf_counter()
    return Artifact(
        path=output,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        seconds=end - start,
        stages=(("compile", compiled - start), ("verify", end - compiled)),
        callbacks=callbacks_of(module),
        hostcalls=hostcalls_of(module),
        warnings=(*warnings, *([f"{toolchain}: {said}"] if said else [])),
        prints="",
        backend=toolchain.compiler.name,
        toolchain=str(toolchain),
    )


def _check_sources(project: Project, toolchain: Toolchain) -> tuple[str, ...]:
    """Warnings that need no compilation. Tests and hidden files are not part of a Go package."""
    files = (file for file in sorted(project.root.glob("*.go")) if file.is_file())
    sources = [file for file in files if not file.name.endswith("_test.go") and file.name[0] not in "._"]
    if not sources:
        raise ProjectError(
            f"{project.root} has no main.go",
            why=f"It has a {GO_MODULE} but no Go source next to it.",
            hint="a filter is one `package main` next to its go.mod",
        )
    if "-buildmode=c-shared" not in toolchain.compiler.flags:
        return ()
    return tuple(
        f"{file.name} registers its contexts in main(), which Envoy never calls: do it in init() instead"
        for file in sources
        if _registers_in_main(file.read_text(encoding="utf-8", errors="replace"))
    )


def _registers_in_main(source: str) -> bool:
    body = _MAIN.search(source)
    return body is not None and _REGISTRATION.search(body[1]) is not None


def _compiled(project: Project, toolchain: Toolchain) -> tuple[bytes, str]:
    """The module, and the compiler's output."""
    with scratch_folder() as scratch:
        result = scratch / "main.wasm"
        command = toolchain.compiler.command(toolchain.program, result)
        try:
            done = subprocess.run(
                command,
                cwd=project.root,
                env=toolchain.compiler.variables(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"{toolchain} took longer than {TIMEOUT_SECONDS} s") from error
        except OSError as error:
            raise ToolError(f"cannot run {toolchain.program}", why=f"{error.strerror}.") from error
        said = _without_downloads(f"{done.stderr}\n{done.stdout}")
        if done.returncode != 0:
            raise _refused(project, toolchain, said or f"It exited with code {done.returncode} and no output.")
        try:
            return result.read_bytes(), said
        except FileNotFoundError as error:
            raise BuildError(f"{toolchain} wrote no module", why=said) from error


def _refused(project: Project, toolchain: Toolchain, said: str) -> BuildError:
    lines = said.splitlines()
    if len(lines) > _LAST_LINES:
        lines = [f"({len(lines) - _LAST_LINES} lines omitted)", *lines[-_LAST_LINES:]]
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, said)), "")
    return BuildError(f"{toolchain} failed to build {project.root}", why="\n".join(lines), hint=hint)


def _without_downloads(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("go: downloading ")).strip()
