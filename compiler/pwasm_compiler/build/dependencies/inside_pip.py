"""Run pip with changes for which it has no options: `python -P inside_pip.py SETTINGS ARGUMENTS…`.

A script: it runs in a process of its own, with nothing of pwasm imported. SETTINGS is a JSON document (`pip.Settings`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# What a build backend may see of the environment: pip's own settings for it, and what Python or Windows need to start.
_SEEN = ("PYTHONPATH", "PYTHONNOUSERSITE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
_SEEN_PREFIXES = ("_PYPROJECT_HOOKS_", "PEP517_")


def _override_markers(values: dict[str, str]) -> None:
    """Environment markers, such as `; python_version < "3.14"`, are those of the module, not of this Python."""
    from pip._vendor.packaging import markers

    environment = {**markers.default_environment(), **values}
    markers.default_environment = environment.copy  # type: ignore[assignment]


def _prefer_pure_wheels(version: str) -> None:
    """Of one version's wheels, take the one without native code, though pip prefers the most specific."""
    from pip._internal.models.target_python import TargetPython

    major, minor = (int(part) for part in version.split("."))
    target = TargetPython(platforms=["any"], py_version_info=(major, minor), abis=["none"], implementation="cp")
    pure, regular = target.get_sorted_tags(), TargetPython.get_sorted_tags

    def sorted_tags(self: TargetPython) -> list[Any]:
        return [*pure, *(tag for tag in regular(self) if tag not in pure)]

    TargetPython.get_sorted_tags = sorted_tags  # type: ignore[method-assign]


def _allow_sdists() -> None:
    """pip refuses sdists for another Python, because what it builds is for its own; pure Python is for all."""
    from pip._internal.cli import cmdoptions

    cmdoptions.check_dist_restriction = lambda *_args, **_options: None


def _note_sdists(found: dict[str, list[str]]) -> None:
    """Collect the versions of sdists that pip would consider, were it not told to take wheels only."""
    from pip._internal.index.package_finder import LinkEvaluator

    regular = LinkEvaluator.evaluate_link

    def evaluate_link(self: Any, link: Any) -> Any:
        formats = self._formats
        if "source" not in formats and not link.is_wheel:
            self._formats = {*formats, "source"}
            kind, detail = regular(self, link)
            self._formats = formats
            if kind.name == "candidate":
                found.setdefault(self.project_name, []).append(detail)
        return regular(self, link)

    LinkEvaluator.evaluate_link = evaluate_link  # type: ignore[method-assign]


def _confine_backends(settings: dict[str, Any]) -> None:
    """Run the code of build backends without the user's environment, a compiler and, where possible, a network.

    pip itself, which downloads their requirements, is not confined.
    """
    regular = subprocess.Popen

    class Popen(regular):  # type: ignore[misc, valid-type]
        def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
            words = [str(word) for word in args] if isinstance(args, list | tuple) else []
            if any(word.endswith("_in_process.py") for word in words):
                args = [*settings["prefix"], *words]
                options["env"] = _environment(options.get("env") or os.environ, settings)
            elif any(word.endswith("__pip-runner__.py") for word in words) and "--" in words:
                _refuse(words[words.index("--") + 1 :], settings["refused"])
            super().__init__(args, *rest, **options)

    subprocess.Popen = Popen  # type: ignore[misc]


def _environment(given: Any, settings: dict[str, Any]) -> dict[str, str]:
    seen = {name: text for name, text in given.items() if name in _SEEN or name.startswith(_SEEN_PREFIXES)}
    own = [folder for folder in given.get("PATH", "").split(os.pathsep) if "pip-build-env-" in folder]
    return {**seen, **settings["environment"], "PATH": os.pathsep.join([*own, settings["path"]])}


def _refuse(requirements: list[str], refused: list[str]) -> None:
    """Stop before build requirements are installed that can do nothing without a compiler."""
    from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
    from pip._vendor.packaging.utils import canonicalize_name

    for requirement in requirements:
        try:
            name = canonicalize_name(Requirement(requirement).name)
        except InvalidRequirement:
            continue
        if name in refused:
            sys.exit(f"ERROR: pwasm: it is built with {name}")


def main() -> None:
    settings = json.loads(sys.argv[1])
    if settings["markers"]:
        _override_markers(settings["markers"])
    if settings["prefer_pure"]:
        _prefer_pure_wheels(settings["prefer_pure"])
    _allow_sdists()
    _confine_backends(settings["backend"])
    sdists: dict[str, list[str]] = {}
    if settings["sdists"]:
        _note_sdists(sdists)
    from pip._internal.cli.main import main as pip

    code = pip(sys.argv[2:])
    if settings["sdists"]:
        Path(settings["sdists"]).write_text(json.dumps(sdists), encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
