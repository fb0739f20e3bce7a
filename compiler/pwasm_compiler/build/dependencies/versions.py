"""Which distributions, in which versions: what pip would take for the filter on a usual machine.

pip chooses with the wheels of a usual machine, but prefers, of one version, the wheel that the module can run. So
nothing is older than elsewhere, only because newer versions need native code: pip on its own goes back, without a
word, to the last version that does without, which may be ten years old. What remains without a pure wheel is built
from its sdist or refused (`pwasm_compiler.build.dependencies.sources`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pwasm_compiler.files import scratch_folder

from .distribution import Distribution, from_report
from .explain import failed, only_sdist
from .graph import needs, parsed
from .pip import MODULE, USUAL, Target, pip


def plan(requirements: Sequence[str], sdists: Sequence[str]) -> tuple[Distribution, ...]:
    """What to install; those named in `sdists` are taken from their sdists.

    Raises:
        ProjectError: there is no solution, or only with a version older than one that has no wheel.
        ToolError: the index cannot be reached.
    """
    found = _resolve(USUAL, requirements, sdists)
    if isinstance(found, str):
        raise failed(found, requirements)
    for distribution in found.distributions:
        newer = _newer(distribution, found, requirements)
        if newer and not distribution.is_direct:
            raise only_sdist(distribution, newer)
    return found.distributions


def older_plan(requirements: Sequence[str], sdists: Sequence[str]) -> tuple[Distribution, ...]:
    """What pip would take if it saw only wheels for the module, for a hint; empty if there is no solution."""
    found = _resolve(MODULE, requirements, sdists)
    return () if isinstance(found, str) else found.distributions


@dataclass(frozen=True, slots=True)
class _Solution:
    distributions: tuple[Distribution, ...]
    sdists: Mapping[str, Sequence[str]]
    """Name → versions of the sdists that were not considered."""


def _resolve(target: Target, requirements: Sequence[str], sdists: Sequence[str]) -> _Solution | str:
    """The solution, or pip's output."""
    with scratch_folder() as scratch:
        report, skipped = scratch / "report.json", scratch / "sdists.json"
        options = ["--dry-run", "--ignore-installed", "--report", str(report)]
        # pip insists on a target for another Python's wheels; with --dry-run nothing is written to it.
        options += ["--target", str(scratch / "nowhere"), *(f"--no-binary={name}" for name in sdists)]
        result = pip(target, "install", *options, "--", *requirements, sdists=skipped)
        if result.returncode != 0:
            return result.stdout
        found = from_report(json.loads(report.read_text(encoding="utf-8")))
        versions = json.loads(skipped.read_text(encoding="utf-8"))
    return _Solution(
        _with_passwords(found, requirements), {canonicalize_name(name): every for name, every in versions.items()}
    )


def _with_passwords(found: Sequence[Distribution], requirements: Sequence[str]) -> tuple[Distribution, ...]:
    """The report leaves them out of the URLs."""
    own = filter(None, map(parsed, requirements))
    urls: dict[str, str] = {canonicalize_name(one.name): one.url for one in own if one.url}
    return tuple(dataclasses.replace(one, url=urls[one.key]) if one.key in urls else one for one in found)


def _newer(distribution: Distribution, found: _Solution, requirements: Sequence[str]) -> str:
    """A newer version that fits the requirements and is only there as an sdist, or ""."""
    wanted = [n.requirement.specifier for n in needs(requirements, found.distributions) if n.key == distribution.key]
    now = Version(distribution.version)
    fitting = [
        version
        for version in _versions(found.sdists.get(distribution.key, ()))
        if version > now
        and (now.is_prerelease or not version.is_prerelease)
        and all(specifier.contains(version, prereleases=True) for specifier in wanted)
    ]
    return str(max(fitting, default=""))


def _versions(texts: Iterable[str]) -> Iterator[Version]:
    """Those that are versions. Archives of `bdist_dumb`, which pip skips, too, have names like sdists:
    tool-1.0.linux-x86_64.tar.gz.
    """
    for text in texts:
        with suppress(InvalidVersion):
            yield Version(text)
