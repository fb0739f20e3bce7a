"""Read a `pyproject.toml`: each value has the expected type, or an error names its location."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.files import read_text

CONFIGURATION = "pyproject.toml"
CONFIGURATION_LIMIT = 256 << 10
"""Size limit in bytes; a key with a million dots takes quadratic time."""
_TOML_TYPES = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "an array",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of `file`; `name` is its name in brackets."""

    values: Mapping[str, Any]
    name: str
    file: Path

    def table(self, key: str) -> Table:
        """The table `key`, empty if it is missing."""
        value, name = self.values.get(key, {}), f"{self.name}.{key}".lstrip(".")
        if not isinstance(value, dict):
            raise ProjectError(f"[{name}] of {self.file} is not a table")
        return Table(value, name, self.file)

    def refuse_others(self, known: Sequence[str]) -> None:
        """Raise `ProjectError` if there is a key other than the `known` ones."""
        for key in self.values:
            if key not in known:
                hint = did_you_mean(key, known, "keys")
                raise ProjectError(f"unknown key '{key}' in [{self.name}] of {self.file}", hint=hint)

    def string(self, key: str) -> str:
        """A non-empty string; "" if it is missing."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.wrong(key, "a non-empty string", value)
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """An array of strings."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, "an array of strings", value)
        for item in value:
            if not isinstance(item, str):
                raise self.wrong(key, "an array of strings", item)
        return tuple(value)

    def boolean(self, key: str, default: bool) -> bool:
        """A boolean, or `default`."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "a boolean", value)
        return value

    def integer(self, key: str, allowed: range, default: int) -> int:
        """An integer that is `allowed`, or `default`."""
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise self.wrong(key, f"an integer from {allowed[0]} to {allowed[-1]}", value)
        return value

    def wrong(self, key: str, expected: str, value: object) -> ProjectError:
        """The error for a value that is not as `expected`."""
        got = _TOML_TYPES.get(type(value), "a date or time")
        shown = f"{got}, {value!r}" if isinstance(value, bool | int | float | str) else got
        what = f"invalid value for '{key}' in [{self.name}] of {self.file}"
        return ProjectError(what, why=f"Expected {expected}, got {shown}.")


def read_configuration(file: Path) -> Table:
    """All of `file`; `ProjectError` if it is not valid TOML."""
    try:
        return Table(tomllib.loads(read_text(file, CONFIGURATION_LIMIT)), "", file)
    except ValueError as error:  # also raised for a number of thousands of digits
        raise ProjectError(f"{file} is not valid TOML", why=f"{error}.") from error
    except RecursionError as error:
        raise ProjectError(f"{file} is not valid TOML", why="It is nested too deeply.") from error


def did_you_mean(word: str, known: Sequence[str], what: str) -> str:
    """The hint for a `word` that is not among the `known` ones, which are called `what`."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"the {what} are: {', '.join(known)}"
