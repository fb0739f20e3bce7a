"""A plugin's configuration from a file: YAML is converted to JSON here, because the filter in the VM reads no YAML.

The text is what Envoy's configuration would hold as a StringValue. A .json file, like any other, is passed on as is;
`parse` reads what must be JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import read_text, shown
from pwasm_compiler.yaml_text import in_file, load

YAML_SUFFIXES = frozenset({".yaml", ".yml"})


def read(file: Path) -> str:
    """The configuration in `file`, as Envoy would pass it on."""
    text = read_text(file)
    if file.suffix.lower() not in YAML_SUFFIXES:
        return text
    try:
        with in_file(file):
            return json.dumps(load(text), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ProjectError(f"{shown(file)} contains a value that JSON does not support", why=f"{error}.") from error


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, it is nested too deeply, or an object has a duplicate key, for which JSON does not
            define which one counts.
    """
    try:
        value = json.loads(text, object_pairs_hook=_Object)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    for path, found in _objects(value):
        if found.twice is not None:
            raise ValueError(f"{path}: duplicate key '{found.twice}'" if path else f"duplicate key '{found.twice}'")
    return json.loads(text)  # without the bookkeeping for duplicates


class _Object(dict[str, Any]):
    """A JSON object that records a duplicate key: while parsing, its path is not known yet."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.twice: str | None = None
        for key, value in pairs:
            if key in self and self.twice is None:
                self.twice = key
            self[key] = value


def _objects(value: Any, path: str = "") -> Iterator[tuple[str, _Object]]:
    if isinstance(value, _Object):
        yield path, value
        for key, below in value.items():
            yield from _objects(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _objects(below, f"{path}[{number}]")
