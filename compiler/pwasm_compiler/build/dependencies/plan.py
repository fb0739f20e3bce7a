"""Which distributions, in which versions: what pip would take for the filter on a usual machine.

pip chooses with the wheels of a usual machine, but prefers, of one version, the wheel that the module can run. So
nothing is older than elsewhere, only because newer versions need native code: pip on its own goes back, without a
word, to the last version that does without, which may be ten years old. What remains without a pure wheel is built
from its sdist or refused (`pwasm_compiler.build.dependencies.sources`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from pwasm_compiler.files import scratch_folder

from .distribution import Distribution, from_report
from .explain import failed
from .graph import parsed
from .pip import MODULE, USUAL, Target, pip


def plan(requirements: Sequence[str], sdists: Sequence[str]) -> tuple[Distribution, ...]:
    """What to install; those named in `sdists` are taken from their sdists.

    Raises:
        ProjectError: there is no solution.
        ToolError: the index cannot be reached.
    """
    found = _resolve(USUAL, requirements, sdists)
    if isinstance(found, str):
        raise failed(found, requirements)
    return found


def older_plan(requirements: Sequence[str], sdists: Sequence[str]) -> tuple[Distribution, ...]:
    """What pip would take if it saw only wheels for the module, for a hint; empty if there is no solution."""
    found = _resolve(MODULE, requirements, sdists)
    return () if isinstance(found, str) else found


def _resolve(target: Target, requirements: Sequence[str], sdists: Sequence[str]) -> tuple[Distribution, ...] | str:
    """The solution, or pip's output."""
    with scratch_folder() as scratch:
        report = scratch / "report.json"
        options = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
        # pip insists on a target for another Python's wheels; with --dry-run nothing is written to it.
        options += ["--target", str(scratch / "nowhere"), *(f"--no-binary={name}" for name in sdists)]
        result = pip(target, "install", *options, "--", *requirements)
        if result.returncode != 0:
            return result.stdout
        found = from_report(json.loads(report.read_text(encoding="utf-8")))
    named: dict[str, str] = {
        canonicalize_name(own.name): own.url for own in map(parsed, requirements) if own and own.url
    }
    # The report leaves out passwords.
    return tuple(dataclasses.replace(one, url=named[one.key]) if one.key in named else one for one in found)
