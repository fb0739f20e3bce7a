"""The schema of a filter's configuration, obtained from the filter itself: it is imported in a separate Python process.

No build is needed. The filter runs with the caller's privileges, as it does in its tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from pwasm_compiler.build.dependencies import resolve
from pwasm_compiler.cache import Cache
from pwasm_compiler.errors import BuildError, ProjectError, split_hint
from pwasm_compiler.files import scratch_folder, shown
from pwasm_compiler.project import Project

_TIMEOUT_SECONDS = 60

# The answer is the last line of standard output, because a filter may print. An error is shown as a build shows it:
# with the frames of the filter and its dependencies, with paths relative to the folder.
_ASK = """
import importlib, json, sys, traceback
request = json.load(sys.stdin)
sys.path[:0] = request["path"]
sys.dont_write_bytecode = True
folders = tuple(folder + "/" for folder in request["path"])
answer = {"schemas": {}, "problems": {}, "error": None}

def shown(error):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folders)]
    lines = ["Traceback (most recent call last):\\n", *traceback.format_list(frames)] if frames else []
    text = "".join([*lines, *traceback.format_exception_only(type(error), error)]).rstrip()
    for folder in folders:
        text = text.replace(folder, "")
    nothing = type(error).__name__ == "RegistrationError" and not frames
    return {"traceback": text, "message": str(error), "registration": nothing}

try:
    importlib.import_module(request["module"])
    from pwasm import config, entrypoint
    from pwasm._config import binding
    declared = binding.declared(entrypoint.registration())
except BaseException as error:
    answer["error"] = shown(error)
    declared = {}
for root_id, wanted in declared.items():
    answer["schemas"][root_id] = config.schema_of(wanted)
    if request["text"] is not None:
        answer["problems"][root_id] = config.problems_in(wanted, request["text"])
print()
print(json.dumps(answer))
"""


ANY = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
"""The schema that accepts anything."""


class NoConfigurationError(ProjectError):
    """The filter's configuration is not declared, or the filter cannot be asked for it."""


class UndeclaredError(NoConfigurationError):
    """The filter declares no configuration, so it accepts any."""


class Answer(NamedTuple):
    """Schemas of the configurations that a filter declares, and the problems in a text; both by root_id."""

    schemas: dict[str, Any]
    problems: dict[str, list[str]]


def ask(project: Project, text: str | None, progress: Callable[[str], None]) -> Answer:
    """Import the filter and get its schemas; `text`, a configuration, is validated against them.

    Raises:
        BuildError: the filter cannot be imported.
        UndeclaredError: it declares no configuration.
        NoConfigurationError: the filter is not written in Python.
    """
    if project.language != "python":
        raise NoConfigurationError(
            f"{project.root} is a Go filter, and Go filters declare no configuration",
            hint="pwasm manifest and pwasm config can validate it against a JSON schema of your own: --schema FILE",
        )
    with scratch_folder("pwasm-schema-") as packages:
        resolve(project, packages, progress, Cache())
        request = {"path": [str(project.root), str(packages)], "module": project.entry.stem, "text": text}
        try:
            done = subprocess.run(
                [sys.executable, "-c", _ASK],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"importing {project.entry} took longer than {_TIMEOUT_SECONDS} s") from error
    if done.returncode or not done.stdout:
        raise BuildError(f"cannot import {project.entry}", why=done.stderr.strip() or "It exits the process.")
    said = json.loads(done.stdout.splitlines()[-1])
    _refuse_error(project, said.pop("error"))
    answer = Answer(**said)
    if not answer.schemas:
        raise UndeclaredError(f"{shown(project.entry)} declares no configuration")
    return answer


def _refuse_error(project: Project, error: dict[str, Any] | None) -> None:
    if error is None:
        return
    if error["registration"]:
        what, hint = split_hint(error["message"])
        raise BuildError(f"{project.entry}: {what}", hint=hint)
    raise BuildError(f"cannot import {project.entry}", why=error["traceback"])
