"""A plugin's configuration from a file: YAML becomes JSON here, for the filter in the VM reads no YAML.

The text is what Envoy's configuration would hold as a StringValue. A .json file, and any other, is passed on as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import read_text, shown
from pwasm_compiler.yaml_values import Loader, TooMuch, refuse_too_much

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
VALUE_LIMIT = 1_000_000
"""Values once aliases are written out, as they are in JSON."""


class _Loader(Loader):  # type: ignore[misc]
    """YAML as JSON knows it: names are str and given once, and a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    made: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        problem = "" if isinstance(key, str) else f"the name {key!r} is not a text: quote it"
        if isinstance(key, str) and key in made:
            problem = f"{key} is there twice"
        if problem:
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        made[key] = loader.construct_object(value_node, deep=True)
    return made


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(file: Path) -> str:
    """The configuration in `file`, as Envoy would pass it."""
    text = read_text(file)
    if file.suffix.lower() not in YAML_SUFFIXES:
        return text
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            refuse_too_much(node, VALUE_LIMIT)
        value = yaml.load(text, Loader=_Loader)
        return json.dumps(value, allow_nan=False)
    except TooMuch as error:
        raise ProjectError(f"{shown(file)} is too much for a configuration: {error.what}", why=error.why) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ProjectError(
            f"{shown(file)} is not YAML", why=" ".join(str(error).split()) or "RecursionError"
        ) from error
    except (TypeError, ValueError) as error:
        raise ProjectError(f"{shown(file)} holds what JSON cannot", why=f"{error}.") from error
