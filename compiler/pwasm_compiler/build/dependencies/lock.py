"""The lock file: exactly which archives go into the module.

    [[distribution]]
    name = "MarkupSafe"
    version = "3.0.4"
    archive = "markupsafe-3.0.4.tar.gz"     a wheel, or the sdist that a pure wheel is built from
    sha256 = "…"                            of that archive
    url = "https://…"                       only if a requirement names it

It lists direct and indirect dependencies, and no requirements: whether it still fits those in pyproject.toml follows
from the metadata of the distributions themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.files import read_text, shown, write_atomically
from pwasm_compiler.pyproject import Table, read_configuration

from .distribution import Distribution, by_key
from .graph import needs

HINT = "pwasm build --lock resolves the dependencies again and writes it"
_TABLE = "distribution"
_KEYS = ("name", "version", "archive", "sha256", "url")
_HEADER = """\
# What is in the module besides the filter and the SDK. `pwasm build` installs exactly these archives;
# `pwasm build --lock` resolves the dependencies again and writes this file.
"""


def write_lock(file: Path, taken: Sequence[Distribution]) -> None:
    """Write the lock file for the archives that were taken.

    Raises:
        ProjectError: something has no archive, or none with a known hash.
    """
    for distribution in taken:
        if not distribution.sha256:
            why = "A folder or a checkout has no archive, and not every index tells hashes."
            raise ProjectError(f"cannot lock '{distribution.name}': the SHA-256 of its archive is unknown", why=why)
    text = _HEADER + "".join(map(_entry, sorted(taken, key=lambda one: one.key)))
    if not file.is_file() or read_text(file) != text:
        write_atomically(file, text.encode())


def _entry(distribution: Distribution) -> str:
    values = {
        "name": distribution.name,
        "version": distribution.version,
        "archive": distribution.archive,
        "sha256": distribution.sha256,
    }
    if distribution.is_direct:
        values["url"] = distribution.url
    return f"\n[[{_TABLE}]]\n" + "".join(f"{key} = {json.dumps(text)}\n" for key, text in values.items())


def read_lock(file: Path) -> tuple[Distribution, ...]:
    """The distributions that a lock file lists.

    Raises:
        UsageError: there is none.
        ProjectError: it is not a lock file.
    """
    if not file.is_file():
        raise UsageError(f"{shown(file)}: no such file", why="`lock` in [tool.pwasm] names it.", hint=HINT)
    table = read_configuration(file)
    table.refuse_others((_TABLE,))
    entries = table.values.get(_TABLE, [])
    if not isinstance(entries, list):
        raise _not_a_lock(file)
    found = tuple(_distribution(entry, file) for entry in entries)
    if len(by_key(found)) < len(found):
        raise ProjectError(f"{shown(file)} lists a distribution twice", hint=HINT)
    return found


def _distribution(entry: Any, file: Path) -> Distribution:
    if not isinstance(entry, dict):
        raise _not_a_lock(file)
    table = Table(entry, _TABLE, file)
    table.refuse_others(_KEYS)
    name, version, archive, sha256 = (table.string(key) for key in _KEYS[:-1])
    url = table.string("url")
    # They become lines of a file that pip reads, in which there may be options, too.
    safe = all(re.fullmatch(r"\w[\w.+!-]*", text) for text in (name, version)) and not re.search(r"\s", url)
    if not safe or not archive or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise _not_a_lock(file)
    return Distribution(name, version, url=url or archive, sha256=sha256, is_direct=bool(url))


def _not_a_lock(file: Path) -> ProjectError:
    why = "A [[distribution]] has a name, a version, an archive and its sha256."
    return ProjectError(f"{shown(file)} is not a lock file", why=why, hint=HINT)


def check_lock(file: Path, requirements: Sequence[str], locked: Sequence[Distribution]) -> None:
    """Raise `ProjectError` unless `locked`, with its metadata, is what the requirements lead to."""
    versions, needed, problems = by_key(locked), set[str](), list[str]()
    for need in needs(requirements, locked):
        needed.add(need.key)
        by = f"{versions[need.by.key]} requires" if need.by else "pyproject.toml requires"
        found = versions.get(need.key)
        if found is None:
            problems.append(f"{by} '{need.text}', which is not in it.")
        elif not need.requirement.specifier.contains(found.version, prereleases=True):
            problems.append(f"{by} '{need.text}'; it has {found}.")
    problems += [f"Nothing requires {found}, which is in it." for found in locked if found.key not in needed]
    if problems:
        what = f"{shown(file)} does not fit the dependencies"
        raise ProjectError(what, why="\n".join(dict.fromkeys(problems)), hint=HINT)
