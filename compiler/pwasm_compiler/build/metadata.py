"""The metadata of dependencies (`*.dist-info`) that `importlib.metadata` reads at run time.

It goes in only if something mentions `importlib.metadata`, and without long descriptions: `pip install` of twenty
distributions leaves a quarter of a megabyte of them.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_READS_METADATA = re.compile(r"\bimportlib[._]metadata\b|\bfrom\s+importlib\s+import\b[^\n]*\bmetadata\b")
_KEPT = ("METADATA", "entry_points.txt", "top_level.txt")
_NEEDS = ("importlib.metadata", "importlib.metadata._adapters", "email.message", "email.parser", "email.policy")
"""What `importlib.metadata` imports when it is used."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What `importlib.metadata` needs at run time: files by their name in the staged folder, and modules."""

    files: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()


def prepare_metadata(folder: Path, texts: Mapping[str, str]) -> Metadata:
    """Shorten the metadata in the staged `folder`, if one of the sources `texts` may read it.

    The modules include those that entry points name, in the groups that a source names: a plugin is imported late.
    """
    if not any(_READS_METADATA.search(text) for text in texts.values()):
        return Metadata()
    files: list[str] = []
    points: list[tuple[str, str]] = []
    for dist_info in sorted(folder.glob("*.dist-info")):
        for path in (dist_info / name for name in _KEPT):
            if path.is_file():
                files.append(path.relative_to(folder).as_posix())
                if path.name == "METADATA":
                    path.write_bytes(without_description(path.read_bytes()))
                elif path.name == "entry_points.txt":
                    points += _entry_points(path)
    used = {group for group in {group for group, _ in points} if _is_named(group, texts)}
    modules = dict.fromkeys((*_NEEDS, *(module for group, module in points if group in used)))
    return Metadata(frozenset(files), tuple(modules) if files else ())


def without_description(metadata: bytes) -> bytes:
    """The headers of a METADATA file but for `Description`; the body is the long description."""
    headers = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"
    return re.sub(rb"(?mi)^Description:.*\n(?:[ \t].*\n)*", b"", headers)


def _entry_points(path: Path) -> Iterator[tuple[str, str]]:
    """(group, module) of each entry point."""
    parser = configparser.ConfigParser(delimiters="=", interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(path.read_text("utf-8", "replace"))
    except configparser.Error:
        return  # `importlib.metadata` reports it to whoever asks for it
    for group in parser.sections():
        for value in parser[group].values():
            module = value.partition("[")[0].partition(":")[0].strip()
            if all(part.isidentifier() for part in module.split(".")):
                yield group, module


def _is_named(group: str, texts: Mapping[str, str]) -> bool:
    return any(f'"{group}"' in text or f"'{group}'" in text for text in texts.values())
