"""A filter that Envoy reads from a file of its own, and reads anew when the file is replaced.

Envoy calls it extension config discovery (ECDS), here from a file: what Istio does from its control plane. In the
configuration the Wasm filter's `typed_config` gives way to a `config_discovery`, and goes into a file as it is:

    discover   text of a configuration → text with discoveries, and a Slot for each filter
    publish    a module → every slot's file, in one step; Envoy loads it beside the old one, and then changes over

The text is edited at positions and not loaded and dumped: Python's YAML and Envoy's read some scalars differently.
https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/extension
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from pwasm_compiler.errors import ProjectError

_LISTS = {"http_filters": "http_filter", "httpFilters": "http_filter", "filters": "network_filter"}
_PATH = ("config", "vm_config", "code", "local", "filename")
_RESOURCE = """\
version_info: "{version}"
resources:
- "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
  name: {name}
  typed_config:
{typed_config}
"""


@dataclass(frozen=True)
class Slot:
    """One filter: its name, the start of its statistics, its file, its configuration before and after the module."""

    name: str
    statistics: str
    file: Path
    before: str
    after: str

    def text(self, version: int, module: Path) -> str:
        """What the file holds for `module`."""
        configuration = f"{self.before}{json.dumps(str(module))}{self.after}"
        return _RESOURCE.format(version=version, name=json.dumps(self.name), typed_config=configuration)


def discover(text: str, module: Path, root: Path, folder: Path) -> tuple[str, tuple[Slot, ...]]:
    """`text` with every filter that loads `module` moved into a file in `folder`; names in it are relative to `root`.

    Raises:
        ProjectError: the text is not YAML, or no filter of it loads the module.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ProjectError("the configuration is not YAML", why=f"{error}") from error
    slots: list[Slot] = []
    edits: list[tuple[int, int, str]] = []
    for kind, name, key, value in _filters(tree, ""):
        file_name = _descend(value, _PATH)
        if not isinstance(file_name, yaml.ScalarNode) or (root / file_name.value).resolve() != module.resolve():
            continue
        file = folder / f"ecds-{len(slots)}.yaml"
        start, end = value.start_mark.index, _end(value)
        pad = " " * (4 if value.flow_style else max(4, value.start_mark.column))
        before = pad + text[start : file_name.start_mark.index]
        slot = Slot(name, f"extension_config_discovery.{kind}.{name}.", file, before, text[_end(file_name) : end])
        _check(slot, module)
        slots.append(slot)
        edits.append((key.start_mark.index, end, _discovery(file, value) + ("\n" if text[end - 1] == "\n" else "")))
    if not slots:
        raise ProjectError(
            f"no filter of the configuration loads {module.name}",
            why="Only an HTTP or TCP filter with its module in a local file can be replaced while Envoy runs.",
            hint="pwasm run takes any configuration",
        )
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text, tuple(slots)


def publish(slots: tuple[Slot, ...], version: int, module: Path) -> None:
    """Copy `module`, so that a later build does not change it, and tell Envoy of the copy."""
    folder = slots[0].file.parent
    copy = folder / f"module-{version}.wasm"
    shutil.copyfile(module, copy)
    for slot in slots:
        scratch = slot.file.with_suffix(".new")
        scratch.write_text(slot.text(version, copy), encoding="utf-8")
        scratch.replace(slot.file)  # Envoy looks for files that are moved into the folder
    (folder / f"module-{version - 2}.wasm").unlink(missing_ok=True)


def _filters(node: yaml.Node | None, inside: str) -> Iterator[tuple[str, str, yaml.Node, yaml.MappingNode]]:
    """Kind, name, and the key and value of `typed_config` of each filter in a list of filters."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            pair = _pair(item, "typed_config")
            name = _child(item, "name")
            if inside in _LISTS and pair and isinstance(pair[1], yaml.MappingNode) and name is not None:
                yield _LISTS[inside], str(name.value), pair[0], pair[1]
            yield from _filters(item, "")
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _filters(value, str(key.value))


def _pair(node: yaml.Node | None, wanted: str) -> tuple[yaml.Node, yaml.Node] | None:
    """A field by its protobuf name or its JSON name, both of which Envoy takes."""
    if not isinstance(node, yaml.MappingNode):
        return None
    head, *rest = wanted.split("_")
    names = {wanted, head + "".join(word.title() for word in rest)}
    return next(((key, value) for key, value in node.value if key.value in names), None)


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pair = _pair(node, name)
    return pair[1] if pair else None


def _descend(node: yaml.Node | None, names: tuple[str, ...]) -> yaml.Node | None:
    for name in names:
        node = _child(node, name)
    return node


def _end(node: yaml.Node) -> int:
    """Where a node's text ends; the parser's own mark for a block is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _discovery(file: Path, typed_config: yaml.MappingNode) -> str:
    kind = _child(typed_config, "@type")
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    discovery = {"config_source": source, "type_urls": [str(kind.value) if kind else ""]}
    return f'"config_discovery": {json.dumps(discovery, ensure_ascii=False)}'


def _check(slot: Slot, module: Path) -> None:
    """Whether the filter's configuration stands on its own."""
    try:
        yaml.compose(slot.text(1, module), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ProjectError(
            f"the configuration of the filter {slot.name!r} cannot be moved into a file of its own",
            why=f"{error}",
            hint="write it without anchors and aliases",
        ) from error
