"""From a plan to a folder of packages: pure wheels as they are, anything else from its sdist."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from pwasm_compiler.cache import Cache
from pwasm_compiler.errors import ToolError
from pwasm_compiler.files import scratch_folder

from .distribution import Distribution, from_metadata, is_native
from .explain import native
from .graph import nearest_first
from .pip import MODULE, Requirements, failure, last_errors, pip
from .sdist import PureWheel, UnbuildableError, pure_wheel

Older = Callable[[], Sequence[Distribution]]


def install(
    planned: Sequence[Distribution],
    packages: Path,
    requirements: Sequence[str],
    cache: Cache,
    older: Older,
    progress: Callable[[str], None],
) -> tuple[Distribution, ...]:
    """Fill the folder `packages`; returns the plan with the archives that were taken.

    Args:
        older: asks pip what it would go back to, for an error.

    Raises:
        ProjectError: something has native code.
    """
    taken = []
    with scratch_folder() as scratch:
        pins = Requirements(scratch / "requirements.txt")
        for distribution in nearest_first(requirements, planned):
            if distribution.is_pure:
                url = distribution.url if distribution.is_direct else ""
                pins.add(distribution.name, distribution.version, url, distribution.sha256)
                taken.append(distribution)
                continue
            progress(f"building {distribution} without native code")
            try:
                wheel = pure_wheel(distribution, cache)
            except UnbuildableError as error:
                why = f"{'It is distributed as compiled libraries. ' if distribution.is_wheel else ''}{error}"
                raise native(distribution, why, requirements, planned, older()) from error
            file = scratch / wheel.file
            file.write_bytes(wheel.contents)
            pins.add(distribution.name, distribution.version, file.as_uri(), wheel.wheel_sha256)
            taken.append(distribution if distribution.is_direct else _of_index(distribution, wheel))
        _install(pins, packages)
    _refuse_native_code(packages, requirements, planned)
    return tuple(sorted(taken, key=lambda distribution: distribution.key))


def _of_index(distribution: Distribution, wheel: PureWheel) -> Distribution:
    return dataclasses.replace(distribution, url=wheel.archive, sha256=wheel.sha256)


def _install(pins: Requirements, packages: Path) -> None:
    packages.mkdir()
    result = pip(MODULE, "install", "--no-deps", "--no-compile", "--target", str(packages), *pins.option)
    if result.returncode == 0:
        return
    failure(result.stdout, "the dependencies")
    raise ToolError("pip could not install the dependencies", why=last_errors(result.stdout))


def _refuse_native_code(packages: Path, requirements: Sequence[str], planned: Sequence[Distribution]) -> None:
    """A wheel may claim to be pure and not be."""
    for file in sorted(packages.rglob("*")):
        if is_native(file.name):
            relative = file.relative_to(packages)
            owner = _owner(packages, relative.as_posix())
            found = next((one for one in planned if one.key == owner), Distribution(relative.parts[0], ""))
            raise native(found, f"It contains {relative}.", requirements, planned)


def _owner(packages: Path, file: str) -> str | None:
    """The key of the distribution whose RECORD lists a file."""
    for record in packages.glob("*.dist-info/RECORD"):
        if any(line.startswith(f"{file},") for line in record.read_text(encoding="utf-8").splitlines()):
            return from_metadata(record.parent).key
    return None


def remove_metadata(packages: Path) -> None:
    """Remove scripts, which nothing in the module can run, and pip's metadata about the installation."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json"):
        for note in packages.glob(f"*.dist-info/{name}"):
            note.unlink()
    for folder in list(packages.rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)
