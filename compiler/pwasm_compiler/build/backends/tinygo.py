"""TinyGo, in its two modes: the official SDK requires a reactor, the older tetratelabs SDK a command."""

from __future__ import annotations

from dataclasses import replace

from .toolchain import Compiler

TINYGO = Compiler(
    name="tinygo",
    oldest=(0, 34),
    flags=("-target=wasip1", "-buildmode=c-shared"),
    environment={},
    how_to_get="TinyGo 0.34 or later: from tinygo.org (not available from pip or npm)",
)

TINYGO_FOR_TETRATELABS = replace(
    TINYGO,
    # The required TinyGo differs between versions of that SDK; TinyGo reports what it cannot build.
    oldest=(0, 0),
    flags=("-scheduler=none", "-target=wasi"),
    how_to_get="TinyGo: from tinygo.org (not available from pip or npm)",
)
