"""Every name a Go filter can use, as JSON: module → "func Name", "type Name", "method Type.Name", "const Name".

    go mod download github.com/proxy-wasm/proxy-wasm-go-sdk@v0.0.0-20250212164326-ab4161dcf924
    go mod download github.com/tetratelabs/proxy-wasm-go-sdk@v0.24.0
    python tests/sdk/go_names.py > tests/sdk/go_names.json

Read from proxywasm/hostcall.go, proxywasm/entrypoint.go, proxywasm/types/context.go and proxywasm/types/types.go.
The script runs the two downloads itself; `go` must be on the PATH.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

MODULES = (
    "github.com/proxy-wasm/proxy-wasm-go-sdk@v0.0.0-20250212164326-ab4161dcf924",
    "github.com/tetratelabs/proxy-wasm-go-sdk@v0.24.0",
)
FILES = ("hostcall.go", "entrypoint.go", "types/context.go", "types/types.go")

_FUNCTION = re.compile(r"^func ([A-Z]\w*)\(", re.MULTILINE)
_METHOD = re.compile(r"^func \((?:\w+ )?\*?([A-Z]\w*)\) ([A-Z]\w*)\(", re.MULTILINE)
_TYPE = re.compile(r"^(?:type |\t)([A-Z]\w*) +(?:interface|struct|func|uint32|bool)\b", re.MULTILINE)
_INTERFACE = re.compile(r"^type ([A-Z]\w*) interface \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_INTERFACE_METHOD = re.compile(r"^\t([A-Z]\w*)\(", re.MULTILINE)
_CONSTANT = re.compile(r"^\t([A-Z]\w*) +(?:[A-Z]\w* +)?=", re.MULTILINE)


def names_of(source: str) -> list[str]:
    """The exported names of one Go file."""
    source = re.sub(r"//.*", "", source)
    names = [f"func {name}" for name in _FUNCTION.findall(source)]
    names += [f"type {name}" for name in _TYPE.findall(source)]
    names += [f"method {kind}.{name}" for kind, name in _METHOD.findall(source)]
    for kind, body in _INTERFACE.findall(source):
        names += [f"method {kind}.{name}" for name in _INTERFACE_METHOD.findall(body)]
    return names + [f"const {name}" for name in _CONSTANT.findall(source)]


def main() -> None:
    """Print the JSON."""
    found = {}
    for module in MODULES:
        command = ["go", "mod", "download", "-json", module]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        folder = Path(json.loads(ran.stdout)["Dir"], "proxywasm")
        found[module] = [name for file in FILES for name in names_of((folder / file).read_text(encoding="utf-8"))]
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
