"""Try packages that filters use: build each into a module, load it, and call it in a request.

    python tools/try_packages.py                  every package of tools/packages, in wasmtime
    python tools/try_packages.py PyJWT Jinja2     some of them
    python tools/try_packages.py --envoy          the packages marked for it in a real Envoy, too
    python tools/try_packages.py --json FILE      keep what was seen; with names, what FILE has of others stays
    python tools/try_packages.py --write          write docs/packages.md from it

A row of the list has a requirement, the text of a call and its result; without a result, what CPython says to the same
call with the same versions must be what the module says. The exit code is 1 if a module does something else than its
row says. That a package is refused is an answer, which the document has with its reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pwasm.testing import HostEmulator
from pwasm.testing.deadline import limit
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.backends import build
from pwasm_compiler.cpython314 import ABSENT, VERSION
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy, find_envoy
from pwasm_compiler.errors import ProjectError, PwasmError
from pwasm_compiler.inspect import describe
from pwasm_compiler.project import load_project

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tools" / "packages"
DOCUMENT = ROOT / "docs" / "packages.md"
_TIMEOUT_SECONDS = 60
_WORKS, _REFUSED, _FAILS = "works", "refused", "fails"

_CALL = """\
{top}


def call():
{body}
    return str(found)
"""
_FILTER = """\
import pwasm
{call}

class Tried(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        pwasm.send_http_response(200, body=call())
        return pwasm.Action.PAUSE


pwasm.set_http_context(Tried)
"""
_IN_CPYTHON = "{call}\n\nimport sys\nsys.stdout.reconfigure(encoding='utf-8', newline='')\nsys.stdout.write(call())\n"


# --- the list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A package of the list."""

    category: str
    requirement: str
    """As in `[project] dependencies`."""
    what: str
    """What the call does, for the document."""
    call: str
    """Lines that run in a request and assign `found`."""
    top: str = ""
    """Lines before, which run at build: the imports."""
    result: str | None = None
    """`found` as text; None asks CPython."""
    envoy: bool = False
    """Whether it shall run in a real Envoy, too."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What `[tool.pwasm]` needs."""
    note: str = ""
    instead: str = ""
    """What to do where the package cannot be built, if there is more to say than pwasm's own hint."""

    @property
    def code(self) -> str:
        """A module with a function `call`."""
        return _CALL.format(top=self.top.strip("\n"), body=textwrap.indent(self.call.strip("\n"), " " * 4))

    def write(self, folder: Path) -> None:
        """Write the filter."""
        (folder / "filter.py").write_text(_FILTER.format(call=self.code), encoding="utf-8")
        settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.settings.items())
        project = f'[project]\nname = "tried"\nversion = "1.0"\ndependencies = {json.dumps([self.requirement])}\n'
        (folder / "pyproject.toml").write_text(f"{project}\n[tool.pwasm]\n{settings}", encoding="utf-8")


def read_list(folder: Path = LIST) -> tuple[Row, ...]:
    """The rows, by category: each file is one."""
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.toml"))]
    return tuple(Row(table["title"], **package) for table in tables for package in table["package"])


def chosen(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """The rows with these requirements, or of these distributions; all without names."""
    for name in names:
        if not any(_is_meant(row, name) for row in rows):
            raise SystemExit(f"error: no row of tools/packages is {name}")
    return [row for row in rows if not names or any(_is_meant(row, name) for name in names)]


def _is_meant(row: Row, name: str) -> bool:
    return name == row.requirement or canonicalize_name(name) == canonicalize_name(Requirement(row.requirement).name)


# --- trying a package -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen of a package."""

    requirement: str
    kind: str
    """works, refused, or fails: the module does something else than the row says."""
    versions: Sequence[str] = ()
    """`name==version` of all that went in."""
    why: str = ""
    hint: str = ""
    size: int = 0
    warnings: Sequence[str] = ()
    missing: Sequence[str] = ()
    """Modules of Python that the request asked for and did not get, although CPython has them."""
    envoy: bool = False
    """Whether the same happened in a real Envoy."""
    seconds: float = 0
    date: str = dataclasses.field(default_factory=lambda: time.strftime("%Y-%m-%d"))


class DiffersError(Exception):
    """The module does something else than it should."""


def attempt(row: Row, *, envoy: bool = False) -> Outcome:
    """Build, load and call a package in a folder of its own."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="pwasm-packages-") as folder:
        seen = _attempt(row, Path(folder), envoy=envoy and row.envoy)
    return dataclasses.replace(seen, seconds=round(time.perf_counter() - start, 1))


def _attempt(row: Row, folder: Path, *, envoy: bool) -> Outcome:
    row.write(folder)
    try:
        artifact = build(load_project(folder), folder / "main.wasm")
    except PwasmError as error:
        why = f"{error.what}\n{error.why}".strip()
        kind = _REFUSED if isinstance(error, ProjectError) or row.instead else _FAILS
        return Outcome(row.requirement, kind, (), why, error.hint)
    except Exception:  # a bug in pwasm: the other packages shall be tried nevertheless
        return Outcome(row.requirement, _FAILS, why=traceback.format_exc())
    module = describe("main.wasm", artifact.path.read_bytes())
    seen = Outcome(row.requirement, _WORKS, module["dependencies"], size=artifact.size, warnings=artifact.warnings)
    try:
        wanted = row.result if row.result is not None else in_cpython(row, seen.versions, folder / "cpython")
        answered, missing = in_wasmtime(artifact.path)
        seen = dataclasses.replace(seen, missing=sorted({name for name in missing if _is_of_python(name)}))
        _compare("the module", answered, wanted)
        if envoy:
            _compare("the module in Envoy", in_envoy(artifact.path), wanted)
            seen = dataclasses.replace(seen, envoy=True)
    except Exception as error:
        return dataclasses.replace(seen, kind=_FAILS, why=str(error) or type(error).__name__)
    return seen


def _compare(who: str, answered: str, wanted: str) -> None:
    if answered != wanted:
        raise DiffersError(f"{who} says {answered!r}, not {wanted!r}")


def _is_of_python(name: str) -> bool:
    """Whether a module has no reason to be missing: it is in the standard library, and can be in a module."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names and top not in ABSENT


def in_wasmtime(module: Path) -> tuple[str, Sequence[str]]:
    """What a request is answered, and the modules that it asked for in vain.

    Raises:
        DiffersError: it fails.
    """
    with limit(_TIMEOUT_SECONDS):
        host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
        stream = host.request()
    if stream.status != 200:
        raise DiffersError("\n".join(text for _, text in host.logs) or f"status {stream.status}")
    return stream.body.decode(), host.unresolved


def in_envoy(module: Path) -> str:
    """What a real Envoy answers.

    Raises:
        DiffersError: it fails.
    """
    with Envoy(bootstrap([HttpListener([WasmFilter(module)])])) as envoy:
        try:
            with urllib.request.urlopen(envoy.url, timeout=_TIMEOUT_SECONDS) as response:
                body: bytes = response.read()
        except urllib.error.HTTPError as error:
            error.close()
            raise DiffersError("\n".join(record.message for record in envoy.log if record.from_filter)) from error
        envoy.check_alive()
    return body.decode()


def in_cpython(row: Row, versions: Sequence[str], folder: Path) -> str:
    """What this Python says to the call, with the versions that went into the module.

    Raises:
        DiffersError: the packages cannot be installed here, or the call fails.
    """
    install = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *versions]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        code = _IN_CPYTHON.format(call=row.code)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, capture_output=True, env=environment, encoding="utf-8", check=False)
    if done.returncode != 0:
        raise DiffersError(f"CPython fails: {done.stderr.strip()}")
    return done.stdout


# --- the document -----------------------------------------------------------------------------------------------------

_HEAD = """\
# Packages

Which packages work in a filter: each was built into a module, imported at its top, loaded and called in a request, and
the result of the call compared with what it should be. `python tools/try_packages.py --envoy --write` writes this page
from the list in `tools/packages`, where the calls are; packages are as new as pip finds them on that day.

{facts}

{count}

- **works**: the call's result is the right one in wasmtime, and in a real Envoy where the last column says so.
- **works, note**: so it does, with what the column says.
- **refused**: `pwasm build` ends with an error, for this reason, and says what to do instead.
- **fails**: the module does something else than CPython.

MiB is the size of main.wasm. A package that is not here may well work: pure Python does, mostly
([what works in a filter](writing-filters.md#what-works-in-a-filter)). `python tools/try_packages.py NAME` tries one
that is in the list.
"""
_ABSENT = re.compile(r"when it runs, which will fail: .*No module named '([^']+)'")
_COLUMNS = """\
| requirement | what was called | result | MiB | what the build warns of | Envoy |
|---|---|---|--:|---|---|"""


def page(rows: Sequence[Row], outcomes: Mapping[str, Outcome], facts: str) -> str:
    """The document's text."""
    known = [(row, outcomes[row.requirement]) for row in rows if row.requirement in outcomes]
    kinds = [seen.kind for _, seen in known]
    in_envoy = sum(seen.envoy for _, seen in known)
    count = (
        f"Of {len(known)} requirements {kinds.count(_WORKS)} work ({in_envoy} of them were run in Envoy, too), "
        f"{kinds.count(_REFUSED)} are refused, and {kinds.count(_FAILS)} fail."
    )
    parts = [_HEAD.format(facts=facts, count=count)]
    for category in dict.fromkeys(row.category for row, _ in known):
        lines = [_line(row, seen) for row, seen in known if row.category == category]
        parts.append("\n".join([f"## {category}\n", _COLUMNS, *lines, ""]))
    return "\n".join(parts)


def _line(row: Row, seen: Outcome) -> str:
    size = f"{seen.size / 2**20:.1f}" if seen.size else ""
    cells = [_name(row, seen), row.what, _result(row, seen), size, _short(seen.warnings), "yes" if seen.envoy else ""]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _name(row: Row, seen: Outcome) -> str:
    """The requirement, the version that went in, and how many others with it."""
    key = canonicalize_name(Requirement(row.requirement).name)
    versions = {canonicalize_name(name): version for name, _, version in (one.partition("==") for one in seen.versions)}
    version = versions.pop(key, "")
    more = [f"{name} {version}" for name, version in sorted(versions.items())]
    return f"`{row.requirement}` {version}".strip() + (f", with {', '.join(more)}" if more else "")


def _result(row: Row, seen: Outcome) -> str:
    if seen.kind == _WORKS:
        settings = ", ".join(f"`{name} = {json.dumps(value)}`" for name, value in row.settings.items())
        missing = f"asks in vain for {', '.join(seen.missing)}" if seen.missing else ""
        notes = [note for note in (f"needs {settings}" if settings else "", row.note, missing) if note]
        return f"works, note: {'; '.join(notes)}" if notes else "works"
    why = _one_line(seen.why)
    instead = row.instead or _one_line(seen.hint)
    return f"**{seen.kind}**: {why}" + (f" Instead: {instead}" if instead else "")


def _one_line(text: str) -> str:
    """The first line of a reason, and the last of a traceback."""
    lines = [line.strip(" |") for line in text.splitlines() if line.strip(" |")] or [""]
    line = lines[-1 if any(line.startswith("Traceback") for line in lines) else 0]
    return line if line.endswith(".") else f"{line}."


def _short(warnings: Sequence[str]) -> str:
    """Imports that cannot work, which are mostly optional, in a list; of others the beginning."""
    absent = dict.fromkeys(found[1] for found in map(_ABSENT.search, warnings) if found)
    others = [re.split(r"; |\n", warning)[0] for warning in warnings if not _ABSENT.search(warning)]
    listed = [f"not there when it runs: {', '.join(absent)}"] if absent else []
    return "; ".join([*listed, *dict.fromkeys(others)])


def _facts(outcomes: Mapping[str, Outcome]) -> str:
    dates = sorted({seen.date for seen in outcomes.values()})
    envoy = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"/(\d+\.\d+\.\d+)", envoy)
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    there = version[1] if version else "?"
    here = ".".join(map(str, sys.version_info[:3]))
    return f"{when}, CPython {VERSION} in the module, built with CPython {here}, Envoy {there}."


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these packages")
    parser.add_argument("--envoy", action="store_true", help="run the packages that are marked for it in Envoy, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen to FILE, after each package")
    parser.add_argument("--write", action="store_true", help="write docs/packages.md, which needs every package")
    options = parser.parse_args(arguments)
    rows = read_list()
    kept = _read(options.json) if options.json and options.names else {}
    outcomes = {row.requirement: kept[row.requirement] for row in rows if row.requirement in kept}
    tried = []
    for seen in (attempt(row, envoy=options.envoy) for row in chosen(rows, options.names)):
        tried.append(seen)
        outcomes[seen.requirement] = seen
        print("\n    ".join([_said(seen), *_details(seen)]), flush=True)
        if options.json:
            options.json.write_text(json.dumps([dataclasses.asdict(one) for one in outcomes.values()], indent=1))
    if options.write:
        missing = [row.requirement for row in rows if row.requirement not in outcomes]
        if missing:
            raise SystemExit(f"error: not tried: {', '.join(missing)}")
        DOCUMENT.write_text(page(rows, outcomes, _facts(outcomes)), encoding="utf-8")
    return int(any(seen.kind == _FAILS for seen in tried))


def _read(file: Path) -> dict[str, Outcome]:
    if not file.is_file():
        return {}
    return {one["requirement"]: Outcome(**one) for one in json.loads(file.read_text(encoding="utf-8"))}


def _said(seen: Outcome) -> str:
    envoy = ", in Envoy" if seen.envoy else ""
    return f"{seen.requirement:<24} {seen.kind}{envoy}, {seen.size / 2**20:.1f} MiB, {seen.seconds:.0f} s"


def _details(seen: Outcome) -> Iterator[str]:
    yield from seen.why.splitlines()
    yield from (f"hint: {line}" for line in seen.hint.splitlines())
    yield from (f"warning: {warning}" for warning in seen.warnings)
    yield from (f"asked in vain for {name}" for name in seen.missing)


if __name__ == "__main__":
    raise SystemExit(main())
