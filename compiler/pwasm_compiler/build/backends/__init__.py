"""One `build` for filters in any language: turn a `Project` into a module.

    choose      which compiler builds this filter, and why
    toolchain   where a compiler is, and whether its version is usable
    go, tinygo  the compilers: command lines, oldest versions, how to install them
    compile     run one, verify its output, install it

A Python filter goes to `pwasm_compiler.build.pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...project import Project, refuse_to_overwrite
from .. import pipeline
from ..pipeline import Artifact
from ..stage import ignore
from .choose import choose
from .compile import compile_go

__all__ = ["build"]


def build(
    project: Project,
    output: Path,
    *,
    progress: Callable[[str], None] = ignore,
    notice: Callable[[str], None] = ignore,
) -> Artifact:
    """Build `project` into the core Wasm module `output`, which is replaced only by a finished module.

    Args:
        project: its `backend` selects the compiler; None leaves the choice to pwasm.
        output: the file; its folder must exist.
        progress: called with the name of each stage.
        notice: called with the chosen compiler and the reason, if there was a choice.

    Raises:
        ProjectError: the filter's folder or its dependencies are unusable.
        ToolError: no compiler for it was found, or `output` cannot be written.
        BuildError: the filter could not be built.
        BinaryError: Envoy would not load what was built.
    """
    refuse_to_overwrite(project, output)
    if project.language == "python":
        return pipeline.build(project, output, progress=progress)
    choice = choose(project)
    notice(choice.reason)
    return compile_go(project, choice.toolchain, output, progress=progress)
