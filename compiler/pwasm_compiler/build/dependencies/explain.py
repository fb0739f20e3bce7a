"""Why pip found no solution, or why one cannot be used, in terms of the filter's requirements."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.version import Version

from pwasm_compiler.cpython314 import VERSION
from pwasm_compiler.errors import ProjectError, ToolError
from pwasm_compiler.project import requirement_name

from .distribution import Distribution, by_key
from .graph import Need, first_need
from .pip import failure, has_releases, last_errors

_NO_MATCH = re.compile(
    r"Could not find a version that satisfies the requirement (?P<requirement>\S.*?)"
    r"(?: \(from (?!versions:)(?P<parent>[^)]*)\))?"
    r" \(from versions: (?P<versions>.*)\)"
)
_CAUSES = 6
_Downgrade = tuple[Distribution, Distribution]  # what the module would have, and a usual machine has
_INSTEAD = {
    # Distributions with native code, and what to use in a module.
    "orjson": "json of the standard library",
    "ujson": "json of the standard library",
    "python-rapidjson": "json of the standard library",
    "pydantic-core": "a dataclass, which `config:` fills and checks",
    "msgspec": "a dataclass, which `config:` fills and checks",
    "rpds-py": "fastjsonschema instead of jsonschema",
    "regex": "re of the standard library",
    "lxml": "xml.etree of the standard library",
    "xxhash": "hashlib of the standard library",
    "pycryptodome": "hashlib and hmac of the standard library, which cover signatures with a shared secret",
    "cryptography": "hashlib and hmac of the standard library, which cover signatures with a shared secret",
    "bcrypt": "hashlib.pbkdf2_hmac of the standard library",
    "numpy": "array and math of the standard library",
}


def failed(output: str, requirements: Sequence[str]) -> ProjectError | ToolError:
    """The error for pip's output when it found no solution."""
    match = _NO_MATCH.search(output)
    if match is None:
        failure(output, ", ".join(requirements))
        return _conflict(output, requirements)
    requirement, name = match["requirement"], requirement_name(match["requirement"]) or match["requirement"]
    needed = f" (needed by {match['parent']})" if match["parent"] else ""
    if match["versions"] != "none":
        why = f"Available versions: {match['versions']}."
        return ProjectError(f"no version of '{name}' satisfies '{requirement}'{needed}", why=why)
    failure(output, f"{name}'{needed}".rstrip("'"))
    if not has_releases(name):
        return ProjectError(f"no package '{name}' found{needed}", why="pip found no version of it.")
    return ProjectError(
        f"'{name}'{needed} has no pure-Python wheel for Python {VERSION} that satisfies the requirement",
        hint=f'if it has an sdist in pure Python, let pwasm build it: sdist = ["{name}"] in [tool.pwasm]',
    )


def _conflict(output: str, requirements: Sequence[str]) -> ProjectError:
    causes = [
        line.strip() for line in output.partition("The conflict is caused by:")[2].partition("\n\n")[0].splitlines()
    ]
    why = "\n".join([cause for cause in causes if cause][:_CAUSES]) or last_errors(output)
    return ProjectError(f"pip could not resolve the dependencies: {', '.join(requirements)}", why=why)


def only_sdist(found: Distribution, newer: str) -> ProjectError:
    """The error for a distribution whose newer version has no wheel that fits."""
    return ProjectError(
        f"'{found.name}' {newer} has no wheel for Python {VERSION}, only an sdist",
        why=f"A usual machine builds it. With wheels only there would be {found}; "
        "pwasm does not go back to old versions by itself.",
        hint=f'let pwasm build it without a compiler: sdist = ["{found.key}"] in [tool.pwasm]; '
        f'or accept the older version by naming it in dependencies: "{found.name}<={found.version}"',
    )


def native(
    found: Distribution,
    why: str,
    requirements: Sequence[str],
    usual: Sequence[Distribution],
    older: Sequence[Distribution] = (),
) -> ProjectError:
    """The error for a distribution that the module cannot run.

    Args:
        why: what is native, in a sentence.
        usual: everything that a usual machine gets.
        older: what pip would go back to in order to avoid native code.
    """
    need = first_need(found.key, requirements, usual)
    downgrades = _downgrades(usual, older)
    name = found.name if need is None else need.key if need.by else need.requirement.name
    reasons = [_required(need, found, usual), why, _going_back(downgrades)]
    hints = [_without_extra(need), f"use {_INSTEAD.get(found.key, 'a package written in pure Python')}"]
    if downgrades:
        names = ", ".join(f'"{old.name}<={old.version}"' for old, _ in downgrades)
        hints.append(f"accept older versions, which may lack security fixes, by naming them in dependencies: {names}")
    return ProjectError(
        f"'{name}' has native code, which cannot run in the module",
        why="\n".join(filter(None, reasons)),
        hint="; or ".join(filter(None, hints)),
    )


def _required(need: Need | None, found: Distribution, usual: Sequence[Distribution]) -> str:
    """The chain of requirements, with the version that a usual machine gets of each."""
    versions = by_key(usual)
    steps = [f"{step.text} ({versions[step.key].version})" for step in (need.chain if need else ())]
    if len(steps) < 2:
        return f"A usual machine gets {found}."
    return f"It is required by {' → '.join(steps)}; the versions are those that a usual machine gets."


def _without_extra(need: Need | None) -> str:
    """How to leave out the extra of one of the filter's own requirements that it is for."""
    for step in need.chain if need else ():
        if step.extra and step.by is not None and step.by.by is None:
            return f"leave out the extra: {step.by.requirement.name} without [{step.extra}]"
    return ""


def _downgrades(usual: Sequence[Distribution], older: Sequence[Distribution]) -> list[_Downgrade]:
    new = by_key(usual)
    pairs = [(old, new[old.key]) for old in older if old.key in new]
    return [(old, now) for old, now in pairs if Version(old.version) < Version(now.version)]


def _going_back(downgrades: Sequence[_Downgrade]) -> str:
    if not downgrades:
        return ""
    versions = ", ".join(f"{old} instead of {now.version}" for old, now in downgrades)
    return f"Without native code there would be {versions}; pwasm does not go back to old versions by itself."
