"""TinyGo, in the two ways it is called: the official SDK wants a reactor, the older tetratelabs SDK a command."""

from __future__ import annotations

from dataclasses import replace

from .toolchain import Compiler

TINYGO = Compiler(
    name="tinygo",
    oldest=(0, 34),
    flags=("-target=wasip1", "-buildmode=c-shared"),
    environment={},
    how_to_get="TinyGo 0.34 or later: from tinygo.org (neither pip nor npm has it)",
)

TINYGO_FOR_TETRATELABS = replace(
    TINYGO,
    # Which TinyGo that SDK needs differs from version to version of it; TinyGo says what it cannot build.
    oldest=(0, 0),
    flags=("-scheduler=none", "-target=wasi"),
    how_to_get="TinyGo: from tinygo.org (neither pip nor npm has it)",
)
