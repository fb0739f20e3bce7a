"""What pwasm reads from a `go.mod`: the module's name and the Proxy-Wasm SDK it requires. The rest is left to Go."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import read_text

GO_MODULE = "go.mod"
OFFICIAL_PATH = "github.com/proxy-wasm/proxy-wasm-go-sdk"
TETRATELABS_PATH = "github.com/tetratelabs/proxy-wasm-go-sdk"


class Sdk(enum.Enum):
    """The SDK of a Go filter; its value completes "go.mod …"."""

    OFFICIAL = "requires the official SDK"
    TETRATELABS = "requires the tetratelabs SDK"
    UNKNOWN = "requires no Proxy-Wasm SDK known to pwasm"


_SDKS = {OFFICIAL_PATH: Sdk.OFFICIAL, TETRATELABS_PATH: Sdk.TETRATELABS}
_MAJOR_VERSION = re.compile(r"/v\d+$")


@dataclass(frozen=True)
class GoMod:
    """`module` is the path that the file declares, "" if it declares none."""

    module: str
    sdk: Sdk

    @property
    def name(self) -> str:
        """The last part of the module's path that is not a version."""
        return _MAJOR_VERSION.sub("", self.module).rpartition("/")[2]


def read_go_mod(file: Path) -> GoMod:
    """Read what pwasm needs from `file`; errors in it are left to Go, which explains them better.

    Raises:
        ProjectError: it cannot be read.
    """
    text = read_text(file)
    module, required, replaced = "", [], {}
    for verb, *words in _directives(text):
        if verb == "module" and words:
            module = words[0]
        elif verb == "require" and words:
            required.append(words[0])
        elif verb == "replace" and "=>" in words[:-1]:
            replaced[words[0]] = words[words.index("=>") + 1]
    return GoMod(module, _sdk(required, replaced))


def _sdk(required: list[str], replaced: dict[str, str]) -> Sdk:
    """The first of our SDKs in the order of `_SDKS`; a replaced module counts as its replacement."""
    for path in required:
        target = replaced.get(path, path)
        if target.startswith((".", "/")):  # a local fork, whose module name still tells which SDK it is
            replaced[path] = path
    used = {replaced.get(path, path) for path in required}
    return next((sdk for path, sdk in _SDKS.items() if path in used), Sdk.UNKNOWN)


def _directives(contents: str) -> Iterator[list[str]]:
    """Each directive as words, verb first, without quotes and comments; a block `verb (…)` is expanded."""
    block = ""
    for line in contents.splitlines():
        text = line.partition("//")[0].replace("(", " ( ").replace(")", " ) ")
        words = [word.strip('"`') for word in text.split()]
        if words[:1] == [")"]:
            block = ""
        elif words[1:2] == ["("]:
            block = words[0]
        elif words:
            yield [block, *words] if block else words
