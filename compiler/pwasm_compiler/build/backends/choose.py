"""Which compiler builds a Go filter: based on the SDK in its go.mod and on what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import ToolError
from ...gomod import GO_MODULE, OFFICIAL_PATH, TETRATELABS_PATH, Sdk, read_go_mod
from ...project import Project
from .go import GO
from .tinygo import TINYGO, TINYGO_FOR_TETRATELABS
from .toolchain import Compiler, Toolchain, Unusable, find

# SDK → the compilers that can build it, in order of preference.
COMPILERS: Mapping[Sdk, tuple[Compiler, ...]] = {
    Sdk.OFFICIAL: (TINYGO, GO),
    Sdk.TETRATELABS: (TINYGO_FOR_TETRATELABS,),
    Sdk.UNKNOWN: (TINYGO, GO),
}

MIGRATION = f"""\
install TinyGo, or migrate to the official SDK, which Go itself can build:
  1. in every .go file, import {OFFICIAL_PATH} instead of {TETRATELABS_PATH}
  2. move the body of main() (proxywasm.Set…Context) into init(), and leave main() empty
  3. go mod tidy"""


@dataclass(frozen=True)
class Choice:
    """The compiler to use; `reason` is a sentence for the user."""

    toolchain: Toolchain
    reason: str


def choose(project: Project) -> Choice:
    """The compiler for a Go filter: the one named in `project.backend`, else the first usable one.

    Raises:
        ToolError: there is none; lists what was tried, and how to install one.
    """
    sdk = read_go_mod(project.root / GO_MODULE).sdk
    wanted = [compiler for compiler in COMPILERS[sdk] if project.backend in (None, compiler.name)]
    unusable: list[Unusable] = []
    for compiler in wanted:
        found = find(compiler, project.root)
        if isinstance(found, Toolchain):
            return Choice(found, _reason(project, sdk, found, unusable))
        unusable.append(found)
    if sdk is Sdk.TETRATELABS:
        raise _needs_tinygo(project, unusable)
    raise ToolError(
        f"no compiler found for {project.root}: {_words(wanted)} is required",
        why=f"{_sentence(unusable)}.",
        hint="\n".join(["install one of:"] + [f"  {compiler.how_to_get}" for compiler in wanted])
        if len(wanted) > 1
        else f"install {wanted[0].how_to_get}",
    )


def _reason(project: Project, sdk: Sdk, found: Toolchain, unusable: list[Unusable]) -> str:
    if project.backend:
        why = f"--backend {project.backend}"
    elif sdk is Sdk.TETRATELABS:
        why = f"{GO_MODULE} {sdk.value}, which only TinyGo can build"
    elif unusable:
        why = f"{GO_MODULE} {sdk.value}, and {_sentence(unusable)}"
    else:
        why = f"{GO_MODULE} {sdk.value}, and {found.compiler.name} is preferred if installed"
    taken = f" ({found.program}, because {found.passed_over})" if found.passed_over else ""
    return f"building with {found}{taken}: {why}"


def _needs_tinygo(project: Project, unusable: list[Unusable]) -> ToolError:
    why = f"Its {GO_MODULE} requires {TETRATELABS_PATH}, which Go itself cannot build"
    # Without a candidate, another compiler was requested.
    why += f", and {_sentence(unusable)}." if unusable else f": --backend {project.backend} does not apply."
    return ToolError(f"{project.root} requires TinyGo", why=why, hint=MIGRATION)


def _sentence(unusable: list[Unusable]) -> str:
    return ", and ".join(item.why for item in unusable)


def _words(compilers: list[Compiler]) -> str:
    return " or ".join(compiler.wanted for compiler in compilers)
