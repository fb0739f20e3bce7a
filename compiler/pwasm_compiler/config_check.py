"""A filter's configuration on its way into a mesh: read it, and refuse it if the filter would.

The filter's own configuration class decides: it decodes the text in plain Python, exactly as it will in the VM. For a
module whose filter is not available, a JSON schema can be given instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from pwasm_compiler import match_rules, plugin_config, schema
from pwasm_compiler.errors import ProjectError, PwasmError, UsageError
from pwasm_compiler.project import Project
from pwasm_compiler.validation import listed, problems

Schema = dict[str, Any]
_HINT = "the filter would reject it at startup, and so would the proxy"


def checked(
    source: str, schema_file: Path | None, project: Project | None, root_id: str, progress: Callable[[str], None]
) -> str:
    """The configuration that `source` names, as the text that the filter receives.

    `source` is a YAML or JSON file, or inline JSON if it begins with a brace. It is checked against the schema in
    `schema_file`, else with what the filter of `project` declares.

    Raises:
        PwasmError: it does not match; lists every problem.
        BuildError: the filter cannot be imported.
    """
    text = _inline(source) if source.lstrip().startswith("{") else plugin_config.read(Path(source))
    if schema_file is not None:
        _refuse(_schema_problems(as_object(text), read_schema(schema_file)))
    elif project is not None:
        _refuse(_filter_problems(project, text, root_id, progress))
    return text


def as_object(text: str) -> dict[str, Any]:
    """The configuration as a Kubernetes resource holds it: as a mapping."""
    try:
        value = plugin_config.parse(text)
    except ValueError as error:
        raise ProjectError(
            "the configuration in a Kubernetes resource must be JSON or YAML", why=f"{error}."
        ) from error
    if not isinstance(value, dict):
        raise ProjectError("the configuration in a Kubernetes resource must be a mapping", why="This one is not.")
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


def _schema_problems(config: dict[str, Any], wanted: Schema) -> list[str]:
    """What a schema says about a configuration; about each one, if there are several (Higress's `_rules_`)."""
    found = match_rules.problems_in_rules(config, "the configuration")
    if found or match_rules.RULES not in config:
        return found or problems(config, wanted, "the configuration")
    return [
        f"{where}: {problem}" if where else problem
        for where, value in match_rules.configurations(config)
        for problem in problems(value, wanted, "the configuration")
    ]


def _filter_problems(project: Project, text: str, root_id: str, progress: Callable[[str], None]) -> list[str]:
    try:
        answer = schema.ask(project, text, progress)
    except schema.NoConfigurationError:
        return []
    return answer.problems.get(root_id, [])


def _refuse(found: list[str]) -> None:
    if found:
        raise PwasmError("the filter does not accept this configuration", why=listed(found), hint=_HINT)


def _inline(text: str) -> str:
    try:
        plugin_config.parse(text)
    except ValueError as error:
        raise UsageError("the configuration is not valid JSON", why=f"{error}.") from error
    return text
