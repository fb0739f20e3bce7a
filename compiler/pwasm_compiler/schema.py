"""What a filter's configuration must look like, asked of the filter itself: it is imported in a Python of its own.

No build is needed. The filter runs with the rights of whoever calls this, as it does in its tests.
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

# The answer goes to the last line of standard output, for a filter may print. An error is shown as a build shows it:
# with the frames of the filter and its dependencies, under names relative to the folder.
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
        try:
            config.decode(wanted, request["text"])
        except config.ConfigError as error:
            answer["problems"][root_id] = error.problems
print()
print(json.dumps(answer))
"""


ANY = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
"""The schema that everything fits."""


class NoConfigurationError(ProjectError):
    """What configuration the filter takes is not declared, or cannot be asked for."""


class UndeclaredError(NoConfigurationError):
    """The filter declares none, so it takes any."""


class Answer(NamedTuple):
    """Schemas of the configurations a filter declares, and what is wrong with a text; both by root_id."""

    schemas: dict[str, Any]
    problems: dict[str, list[str]]


def ask(project: Project, text: str | None, progress: Callable[[str], None]) -> Answer:
    """Import the filter and ask for its schemas; `text`, a configuration, is checked against them.

    Raises:
        BuildError: the filter cannot be imported.
        UndeclaredError: it declares no configuration.
        NoConfigurationError: it cannot be asked, for it is not in Python.
    """
    if project.language != "python":
        raise NoConfigurationError(
            f"{project.root} is a filter in Go, which declares no configuration",
            hint="pwasm manifest and pwasm config compare a configuration with a JSON schema of yours: --schema FILE",
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
            raise BuildError(f"{project.entry} was not imported within {_TIMEOUT_SECONDS} s") from error
    if done.returncode or not done.stdout:
        raise BuildError(f"{project.entry} cannot be imported", why=done.stderr.strip() or "It ends the process.")
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
    raise BuildError(f"{project.entry} cannot be imported", why=error["traceback"])
