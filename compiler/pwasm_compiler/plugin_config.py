"""A plugin's configuration from a file: YAML becomes JSON here, for the filter in the VM reads no YAML.

The text is what Envoy's configuration would hold as a StringValue. A .json file, and any other, is passed on as it is.
"""

from __future__ import annotations

import json
from pathlib import Path

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import read_text, shown
from pwasm_compiler.yaml_text import in_file, load

YAML_SUFFIXES = frozenset({".yaml", ".yml"})


def read(file: Path) -> str:
    """The configuration in `file`, as Envoy would pass it."""
    text = read_text(file)
    if file.suffix.lower() not in YAML_SUFFIXES:
        return text
    try:
        with in_file(file):
            return json.dumps(load(text), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ProjectError(f"{shown(file)} holds what JSON cannot", why=f"{error}.") from error
