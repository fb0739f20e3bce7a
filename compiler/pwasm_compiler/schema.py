"""What a filter's configuration must look like, asked of the filter itself: it is imported in a Python of its own.

No build is needed. The filter runs with the rights of whoever calls this, as it does in its tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pwasm_compiler.cache import Cache
from pwasm_compiler.dependencies import resolve
from pwasm_compiler.errors import BuildError, ProjectError
from pwasm_compiler.project import Project

_TIMEOUT_SECONDS = 60

# The answer goes to the last line of standard output, for a filter may print. Arguments: folder, module, packages.
_ASK = """
import importlib, json, sys
request = json.load(sys.stdin)
sys.path[:0] = request["path"]
sys.dont_write_bytecode = True
importlib.import_module(request["module"])
from pwasm import config, entrypoint
answer = {"schemas": {}, "problems": {}}
for root_id, wanted in config.declared(entrypoint.registration()).items():
    answer["schemas"][root_id] = config.schema_of(wanted)
    if request["text"] is not None:
        try:
            config.decode(wanted, request["text"])
        except config.ConfigError as error:
            answer["problems"][root_id] = error.problems
print()
print(json.dumps(answer))
"""


class NoConfigurationError(ProjectError):
    """The filter declares no configuration, so it takes any."""


class Answer(NamedTuple):
    """Schemas of the configurations a filter declares, and what is wrong with a text; both by root_id."""

    schemas: dict[str, Any]
    problems: dict[str, list[str]]


def ask(project: Project, text: str | None, progress: Callable[[str], None]) -> Answer:
    """Import the filter and ask for its schemas; `text`, a configuration, is checked against them.

    Raises:
        BuildError: the filter cannot be imported.
        NoConfigurationError: it declares no configuration.
    """
    with tempfile.TemporaryDirectory(prefix="pwasm-schema-") as packages:
        resolve(project, Path(packages), progress, Cache())
        request = {"path": [str(project.root), packages], "module": project.entry.stem, "text": text}
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
    if done.returncode:
        raise BuildError(f"{project.entry} cannot be imported", why=done.stderr.strip())
    answer = Answer(**json.loads(done.stdout.splitlines()[-1]))
    if not answer.schemas:
        raise NoConfigurationError(
            f"{project.entry} declares no configuration",
            hint="annotate it in the plugin's class: config: MyConfig (see help of pwasm.config)",
        )
    return answer
