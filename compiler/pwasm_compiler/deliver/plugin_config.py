"""A filter's configuration, as the user gives it: read, and compared with the filter's own schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from pwasm_compiler.deliver.validation import listed, problems
from pwasm_compiler.deliver.yaml_text import YamlError, load_all
from pwasm_compiler.errors import ProjectError, PwasmError, UsageError
from pwasm_compiler.project import Project

Schema = dict[str, Any]


def read(source: str) -> Any:
    """The configuration that `source` names: a file with JSON or YAML, or JSON itself if it begins with a brace."""
    if source.lstrip().startswith("{"):
        try:
            return json.loads(source, object_pairs_hook=_no_key_twice)
        except ValueError as error:
            raise UsageError("the configuration is not valid JSON", why=f"{error}.") from error
    file = Path(source)
    try:
        documents = load_all(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no {file}", hint="give a JSON or YAML file, or JSON in braces") from error
    except UnicodeDecodeError as error:
        raise ProjectError(f"{file} is not UTF-8", why=f"At byte {error.start}.") from error
    except OSError as error:
        raise ProjectError(f"cannot read {file}", why=f"{error.strerror}.") from error
    except YamlError as error:
        raise YamlError(f"{file}: {error.what}", why=error.why, hint=error.hint) from error
    if len(documents) != 1:
        raise ProjectError(f"{file} holds {len(documents)} documents, and a configuration is one")
    return documents[0]


def filter_schema(project: Project) -> Schema | None:  # noqa: ARG001
    """The JSON schema of the filter's configuration class; None for a filter without one."""
    return None


def read_schema(file: Path) -> Schema:
    """The JSON schema in `file`."""
    schema = read(str(file))
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ProjectError(f"{file} is not a JSON schema", why=f"{error.message}.") from error
    if not isinstance(schema, dict):
        raise ProjectError(f"{file} is not a JSON schema", why="It is not a mapping.")
    return schema


def check(config: Any, schema: Schema) -> None:
    """Refuse a configuration that the filter would refuse.

    Raises:
        PwasmError: with every place that does not fit.
    """
    found = problems(config, schema, "the configuration")
    if found:
        raise PwasmError(
            "the configuration does not fit the filter's schema",
            why=listed(found),
            hint="the filter would refuse it at start, and the proxy with it",
        )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"the key '{twice}' is there twice")
    return dict(pairs)


def checked(source: str, schema: Path | None, project: Project | None) -> Any:
    """The configuration that `source` names, compared with the schema in a file or else with the filter's own."""
    config = read(source)
    wanted = read_schema(schema) if schema is not None else filter_schema(project) if project is not None else None
    if wanted is not None:
        check(config, wanted)
    return config
