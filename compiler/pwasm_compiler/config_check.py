"""A filter's configuration on its way into a mesh: read, and refused if the filter would refuse it.

What decides is the filter's own configuration class, which decodes the text in plain Python, exactly as it will in the
VM. A module whose filter is not here can be given a JSON schema instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from pwasm_compiler import plugin_config, schema
from pwasm_compiler.errors import ProjectError, PwasmError, UsageError
from pwasm_compiler.project import Project
from pwasm_compiler.validation import listed, problems

Schema = dict[str, Any]
_HINT = "the filter would refuse it at start, and the proxy with it"


def checked(
    source: str, schema_file: Path | None, project: Project | None, root_id: str, progress: Callable[[str], None]
) -> str:
    """The configuration that `source` names, as the text that the filter gets.

    `source` is a file with YAML or JSON, or JSON itself if it begins with a brace. It is compared with the schema in
    `schema_file`, else with what the filter of `project` declares.

    Raises:
        PwasmError: it does not fit; with every place.
        BuildError: the filter cannot be imported.
    """
    text = _inline(source) if source.lstrip().startswith("{") else plugin_config.read(Path(source))
    if schema_file is not None:
        _refuse(problems(as_object(text), read_schema(schema_file), "the configuration"))
    elif project is not None:
        _refuse(_problems_of_the_filter(project, text, root_id, progress))
    return text


def as_object(text: str) -> dict[str, Any]:
    """The configuration as a Kubernetes resource holds it, which is as a mapping."""
    try:
        value = plugin_config.parse(text)
    except ValueError as error:
        raise ProjectError("a Kubernetes resource takes a configuration in JSON or YAML", why=f"{error}.") from error
    if not isinstance(value, dict):
        raise ProjectError("a Kubernetes resource takes a configuration that is a mapping", why="This is none.")
    return value


def read_schema(file: Path) -> Schema:
    """The JSON schema in `file`."""
    text = plugin_config.read(file)
    try:
        found = as_object(text)
        jsonschema.Draft202012Validator.check_schema(found)
    except ProjectError as error:
        raise ProjectError(f"{file} is not a JSON schema", why=error.why) from error
    except jsonschema.SchemaError as error:
        raise ProjectError(f"{file} is not a JSON schema", why=f"{error.message}.") from error
    return found


def _problems_of_the_filter(project: Project, text: str, root_id: str, progress: Callable[[str], None]) -> list[str]:
    try:
        answer = schema.ask(project, text, progress)
    except schema.NoConfigurationError:
        return []
    return answer.problems.get(root_id, [])


def _refuse(found: list[str]) -> None:
    if found:
        raise PwasmError("the configuration does not fit the filter", why=listed(found), hint=_HINT)


def _inline(text: str) -> str:
    try:
        plugin_config.parse(text)
    except ValueError as error:
        raise UsageError("the configuration is not valid JSON", why=f"{error}.") from error
    return text
