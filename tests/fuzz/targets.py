"""The fuzzing targets: for each a function of bytes, the exceptions it may raise, and seed inputs.

`python tests/fuzz/run.py` gives them to atheris, and test_replay.py replays what was found before.
"""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import wasmtime
import wasmtime.component

from pwasm import config
from pwasm_compiler import gomod, inspect, plugin_config, project, yaml_text
from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import instance_graph
from pwasm_compiler.digests import digest_of
from pwasm_compiler.envoy import ports
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.link.inlining import spend_budgets
from pwasm_compiler.link.layout import lay_out
from pwasm_compiler.link.merge import merge
from pwasm_compiler.link.passes.reachable import reachable
from pwasm_compiler.link.resolve import resolve
from pwasm_compiler.oci import manifest, unpack
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import returns, sites
from tests.fuzz import wire
from tests.support import wasm_tools
from tests.support.paths import ROOT
from tests.support.small_component import COMPONENT

REGRESSIONS = Path(__file__).with_name("regressions")
SIZE_LIMIT = 1 << 20
MARKER = "proxy_abi_version_0_2_1"
Errors = tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Target:
    """`run` raises nothing but `errors`, in `SECONDS`, whatever it is given up to `size` bytes."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    errors: Errors = (PwasmError,)
    size: int = SIZE_LIMIT

    def __call__(self, data: bytes) -> None:
        try:
            self.run(data)
        except self.errors as error:
            if not str(error):
                raise AssertionError("an error without a message") from error


def module(data: bytes) -> None:
    decoded = decode_module(memoryview(data))
    indices: dict[bytes, int] = {}
    for body in decoded.bodies:
        list(sites(data, body, indices))
        list(returns(data, body))
    spent = spend_budgets(decoded)  # reads no instruction, so it meets every module that can be decoded
    assert len(decode_module(memoryview(spent.wasm)).bodies) == len(decoded.bodies) + len(spent.names)


def instructions(data: bytes) -> None:
    """The data as the body of the one function of a module."""
    module(_with_body(b"\0" + data))


def _with_body(body: bytes) -> bytes:
    return b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\x0a" + _sized(b"\1" + _sized(body))


def _sized(data: bytes) -> bytes:
    size, encoded = len(data), b""
    while size > 127:
        encoded += bytes([size & 127 | 128])
        size >>= 7
    return encoded + bytes([size]) + data


def describe(data: bytes) -> None:
    inspect.render(inspect.describe("fuzzed.wasm", data))


def component(data: bytes) -> None:
    """Decoding accepts anything; linking accepts only valid components, since they come from a compiler."""
    graph = instance_graph(decode_component(data))
    if not _is_valid(data):
        return
    layout = lay_out(resolve(graph, MARKER), data)
    shim = layout.plan.shim
    exports = {MARKER: layout.target(shim.number, shim.exports[MARKER].index)}
    merge(layout, reachable(layout, exports.values()), exports).module(layout, 256)


def _is_valid(data: bytes) -> bool:
    try:
        wasmtime.component.Component(_engine(), data)
    except wasmtime.WasmtimeError:
        return False
    return True


@functools.cache
def _engine() -> wasmtime.Engine:
    atexit.register(_engine.cache_clear)  # later its destructor finds wasmtime gone
    return wasmtime.Engine()


@dataclass
class Inner:
    values: list[int | str] = field(default_factory=list)
    by_name: dict[str, float | None] = field(default_factory=dict)


@dataclass
class Outer:
    name: str
    on: bool = False
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()


def typed_config(data: bytes) -> None:
    made = config.load(Outer, data)
    assert config.load(Outer, config.dump(made)) == made


def _in_file(name: str, data: bytes) -> Path:
    path = _scratch() / name
    path.write_bytes(data)
    return path


@functools.cache
def _scratch() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="pwasm-fuzz-"))
    (folder / "filter.py").touch()
    return folder


def pyproject(data: bytes) -> None:
    project.load_project(_in_file("pyproject.toml", data).parent)


def go_mod(data: bytes) -> None:
    gomod.read_go_mod(_in_file("go.mod", data))


def plugin_yaml(data: bytes) -> None:
    plugin_config.read(_in_file("config.yaml", data))


def envoy_yaml(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    ports.with_ports(text, port=0, admin_port=0)


def resource_yaml(data: bytes) -> None:
    yaml_text.dump_all(yaml_text.load_all(data.decode("utf-8", "replace")))


def image(data: bytes) -> None:
    """The first byte says whether the rest is a manifest or one of the layers that a manifest may name."""
    kind, rest = data[:1], data[1:]
    if kind == b"m":
        unpack.module_layer(manifest.parse_manifest(rest))
    elif data:
        media_type = _LAYERS[data[0] % len(_LAYERS)]
        unpack.extract(manifest.Descriptor(media_type, digest_of(rest), len(rest)), rest, 1 << 20)


_LAYERS = (manifest.OCI_LAYER, manifest.ARTIFACT_MODULE)


def _modules() -> list[bytes]:
    texts = (
        "(module)",
        """(module (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1 2) (table (export "t") 2 funcref) (global (mut i64) (i64.const -3))
            (func (export "malloc") (param i32) (result i32) (local i64 f32) local.get 0 if (result i32) i32.const 1
              else i32.const 0 end return)
            (func (export "proxy_abi_version_0_2_1") (block (br_table 0 0 0 (i32.const 1))) (drop (f64.const 1)))
            (elem (i32.const 0) 1 2) (data (i32.const 8) "hi"))""",
    )
    return [bytes(wasmtime.wat2wasm(text)) for text in texts]


def _bodies() -> list[bytes]:
    found = []
    for data in _modules():
        found += [data[body.start : body.end] for body in decode_module(memoryview(data)).bodies]
    return found


def _components() -> list[bytes]:
    return [wasm_tools.assemble(COMPONENT.replace("{answers}", ""))]


def _files(pattern: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(ROOT.glob(pattern))[:40]]


def _texts(*texts: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(texts)


def _images() -> list[bytes]:
    import gzip
    import io
    import tarfile

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("plugin.wasm")
        entry.size = 8
        tar.addfile(entry, io.BytesIO(b"\0asm\1\0\0\0"))
    raw = archive.getvalue()
    digest = b"sha256:" + b"0" * 64
    layer = b'{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"' + digest + b'","size":9}'
    head = b'm{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":['
    return [b"\0" + gzip.compress(raw, mtime=0), b"\1\0asm\1\0\0\0", head + layer + b'],"config":' + layer + b"}"]


CONFIGS = _texts(
    b'{"name":"a","on":true,"inner":{"values":[1,"x"],"by_name":{"k":1.5,"n":null}},"many":[{"values":[]}]}',
    b"\n\x0f\n\x04name\x12\x07\x1a\x05hello",
    b"",
    b'{"name":1,"name":2}',
)
PROJECTS = _files("filters/*/pyproject.toml")
YAML = _files("tests/golden/kube/*.yaml")

TARGETS = {
    "module": Target(module, _modules),
    "instructions": Target(instructions, _bodies),
    "inspect": Target(describe, _modules),
    "component": Target(component, _components),
    "typed_config": Target(typed_config, CONFIGS, (config.ConfigError,)),
    "pyproject": Target(pyproject, PROJECTS),
    "plugin_yaml": Target(plugin_yaml, YAML),
    "envoy_yaml": Target(envoy_yaml, _files("filters/*/envoy.yaml")),
    "resource_yaml": Target(resource_yaml, YAML),
    "go_mod": Target(go_mod, _files("tests/projects/*/go.mod")),
    "image": Target(image, _images),
    "registry": Target(wire.registry, wire.sessions),
}
