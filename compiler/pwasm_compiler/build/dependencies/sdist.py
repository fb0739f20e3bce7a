"""Pure wheels from sdists, for distributions that have none of the version that is wanted.

Many packages have an extension written in C that they can do without: it is declared optional, or `setup.py` catches
that it cannot be compiled. So the sdist is built where nothing can be compiled (`pip.pip` says what a build sees), and
if that succeeds and nothing in the wheel is native, the wheel is for every machine, whatever tag the build gave it: the
tag follows from what was declared, not from what was compiled.

The wheel is packed again, so that its bytes depend on its contents only, and cached.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.cache import Cache
from pwasm_compiler.cpython314 import VERSION
from pwasm_compiler.files import scratch_folder

from .distribution import Distribution, is_native, sha256_of
from .pip import THIS, Requirements, failure, pip

KIND = "wheels"
_RECIPE = 1
"""Part of the cache's key: another number when a wheel is built in another way."""

SWITCHES = {
    # Distributions whose build fails without a compiler unless told to leave the extension out.
    "msgpack": {"MSGPACK_PUREPYTHON": "1"},  # its extension is not declared optional
}
COMPILERS = frozenset(
    ("cmake", "cmeel", "maturin", "meson", "meson-python", "ninja", "scikit-build", "scikit-build-core")
)
"""Build requirements that do nothing but compile: for a package that also has wheels, trying takes long and is vain."""

_TAG = "py3-none-any"
_WHEEL = f"Wheel-Version: 1.0\nGenerator: pwasm\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


class UnbuildableError(Exception):
    """There is no pure wheel in an sdist; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class PureWheel:
    """A wheel that was built."""

    file: str
    contents: bytes
    archive: str
    """The file name of the sdist, "" for a folder or a checkout."""
    sha256: str
    """Of the sdist."""

    @property
    def wheel_sha256(self) -> str:
        return hashlib.sha256(self.contents).hexdigest()


def pure_wheel(wanted: Distribution, cache: Cache) -> PureWheel:
    """The wheel built from the sdist of a distribution: its own archive, or what the index has of the same version.

    Raises:
        UnbuildableError: there is no sdist, it does not build without a compiler, or the result has native code.
        ToolError: the index cannot be reached.
    """
    if wanted.is_direct and not wanted.sha256:
        return _build(wanted)  # a folder or a checkout, which may change
    stored = cache.read(KIND, _key(wanted))
    if stored is None:
        wheel = _build(wanted)
        header = json.dumps([wheel.file, wheel.archive, wheel.sha256]).encode()
        # The second is what a lock file asks for.
        for form in {wanted, dataclasses.replace(wanted, url=wheel.archive, sha256=wheel.sha256)}:
            cache.write(KIND, _key(form), header + b"\n" + wheel.contents)
        return wheel
    header, _, contents = stored.partition(b"\n")
    file, archive, sha256 = json.loads(header)
    return PureWheel(file, contents, archive, sha256)


def _key(wanted: Distribution) -> str:
    settings = sorted((name, text) for name, text in os.environ.items() if name.startswith("PIP_"))
    known = [wanted.url if wanted.is_direct else "", wanted.sha256] if not wanted.is_wheel else []
    parts = [_RECIPE, VERSION, wanted.key, wanted.version, known, settings, SWITCHES.get(wanted.key)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _build(wanted: Distribution) -> PureWheel:
    with scratch_folder() as scratch:
        requirements = Requirements(scratch / "requirements.txt")
        if wanted.is_wheel:
            requirements.add(wanted.name, wanted.version)
        else:
            requirements.add(wanted.name, wanted.version, wanted.url if wanted.is_direct else "", wanted.sha256)
        output, store = scratch / "wheels", scratch / "cache"
        result = pip(
            THIS,
            "wheel",
            # A cache of its own: pip's may have a wheel that was built with a compiler.
            *("--no-deps", "--use-pep517", "--ignore-requires-python", "--cache-dir", str(store)),
            *(f"--no-binary={wanted.key}", "--wheel-dir", str(output), *requirements.option),
            build_environment=SWITCHES.get(wanted.key),
            refused=sorted(COMPILERS) if wanted.is_wheel else (),
        )
        if result.returncode != 0:
            raise UnbuildableError(_reason(result.stdout, wanted))
        [wheel] = output.glob("*.whl")
        archive, sha256 = _origin(store)
        return PureWheel(*_pack(wheel), archive, sha256 or wanted.sha256)


def _reason(output: str, wanted: Distribution) -> str:
    failure(output, wanted.name)
    refused = re.search(r"^(?:SystemExit: )?ERROR: pwasm: it is built with (\S+)$", output, re.MULTILINE)
    if refused:
        return f"Its sdist is built with {refused[1]}, which needs a compiler."
    if "No matching distribution found" in output:
        return "It has no sdist of this version."
    return "Its sdist cannot be built without a compiler."


def _origin(store: Path) -> tuple[str, str]:
    """File name and SHA-256 of the archive that pip has built, from its note beside the wheel in its cache."""
    for note in store.rglob("origin.json"):
        download = json.loads(note.read_text(encoding="utf-8"))
        return download["url"].rpartition("/")[2], sha256_of(download)
    return "", ""


def _pack(wheel: Path) -> tuple[str, bytes]:
    """The wheel for every machine, and its file name."""
    name, version = wheel.name.split("-")[:2]
    with zipfile.ZipFile(wheel) as archive:
        files = {entry: archive.read(entry) for entry in sorted(archive.namelist()) if not entry.endswith("/")}
    native = next(filter(is_native, files), None)
    if native is not None:
        raise UnbuildableError(f"The wheel built from its sdist contains {native}.")
    [info] = {entry.partition("/")[0] for entry in files if re.match(r"[^/]+\.dist-info/WHEEL$", entry)}
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    files.pop(f"{info}/RECORD", None)
    files[f"{info}/RECORD"] = "".join(_record(files, info)).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for entry, contents in files.items():
            archive.writestr(zipfile.ZipInfo(entry, _FIRST_DAY), contents)
    return f"{name}-{version}-{_TAG}.whl", packed.getvalue()


def _record(files: dict[str, bytes], info: str) -> Iterator[str]:
    for entry, contents in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).rstrip(b"=").decode()
        shown = f'"{entry}"' if "," in entry else entry
        yield f"{shown},sha256={digest},{len(contents)}\n"
    yield f"{info}/RECORD,,\n"
