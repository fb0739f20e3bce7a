"""A filter that Envoy reads from a separate file, and reloads when the file is replaced.

Envoy calls this extension config discovery (ECDS), here from a file; Istio does it from its control plane. In the
configuration, the Wasm filter's `typed_config` is replaced by a `config_discovery` and moved unchanged to the file:

    discover   text of a configuration → text with discoveries, and a Slot for each filter
    publish    a module → every slot's file, atomically; Envoy loads it alongside the old one, then switches

https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/extension
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from pwasm_compiler.envoy.config import config_discovery, ecds_resource
from pwasm_compiler.envoy.nodes import Edit, child, edited, end_of, in_place_of, items, pair, scalar, sequence, walk
from pwasm_compiler.errors import ProjectError
from pwasm_compiler.yaml_text import YamlError, compose_one, dump

_LISTS = {"http_filters": "http_filter", "filters": "network_filter"}
"""A field with a list of filters → what the statistics of its discoveries are called."""
_PATH = ("config", "vm_config", "code", "local", "filename")


@dataclass(frozen=True)
class Slot:
    """One filter: its name, statistics prefix, file, and its configuration before and after the module's name."""

    name: str
    statistics: str
    file: Path
    before: str
    after: str

    def text(self, version: int, module: Path) -> str:
        """The contents of the file for `module`."""
        document = {"version_info": str(version), "resources": [ecds_resource(self.name)]}
        end = "" if self.after.endswith("\n") else "\n"  # an extra one would become part of a block scalar
        return f"{dump(document)}  typed_config:\n{self.before}{json.dumps(str(module))}{self.after}{end}"


class _Filter(NamedTuple):
    """A filter in a list of filters, with its typed_config, and the module's name in it."""

    kind: str
    name: str
    key: yaml.Node
    value: yaml.Node
    file_name: yaml.ScalarNode


def discover(text: str, module: Path, root: Path, folder: Path) -> tuple[str, tuple[Slot, ...]]:
    """`text` with every filter that loads `module` moved to a file in `folder`; file names are relative to `root`.

    Raises:
        YamlError: the text is not YAML, or expands without limit.
        ProjectError: no filter in it loads the module, or one cannot be moved.
    """
    slots: list[Slot] = []
    edits: list[Edit] = []
    for found in _filters(compose_one(text)):
        if (root / found.file_name.value).resolve() != module.resolve():
            continue
        file = folder / f"ecds-{len(slots)}.yaml"
        slots.append(_slot(text, found, file))
        start, end = found.key.start_mark.index, end_of(text, found.value)
        discovery = config_discovery(file, scalar(child(found.value, "@type")) or "")
        new = f'"config_discovery": {json.dumps(discovery, ensure_ascii=False)}'
        edits.append(in_place_of(text, start, end, new))
    if not slots:
        raise ProjectError(
            f"no filter in the configuration loads {module.name}",
            why="Only an HTTP or TCP filter whose module is a local file can be replaced while Envoy runs.",
            hint="pwasm run accepts any configuration",
        )
    text = edited(text, edits)
    for name, moved in [*((slot.name, slot.text(1, module)) for slot in slots), (slots[0].name, text)]:
        _check(name, moved)
    return text, tuple(slots)


def publish(slots: tuple[Slot, ...], version: int, module: Path) -> None:
    """Copy `module`, so that a later build does not change it, and point Envoy to the copy."""
    folder = slots[0].file.parent
    copy = folder / f"module-{version}.wasm"
    shutil.copyfile(module, copy)
    for slot in slots:
        scratch = slot.file.with_suffix(".new")
        scratch.write_text(slot.text(version, copy), encoding="utf-8")
        scratch.replace(slot.file)  # Envoy watches for files that are moved into the folder
    (folder / f"module-{version - 2}.wasm").unlink(missing_ok=True)


def _filters(root: yaml.Node | None) -> Iterator[_Filter]:
    """Each filter in a list of filters that loads a file, without duplicates through aliases."""
    lists = ((_LISTS[key], value) for node in walk(root) for key, value in items(node) if key in _LISTS)
    filters = {id(item): (kind, item) for kind, value in lists for item in sequence(value)}
    for kind, item in filters.values():
        config, name = pair(item, "typed_config"), scalar(child(item, "name"))
        file_name = child(config[1], *_PATH) if config else None
        if config and name is not None and isinstance(file_name, yaml.ScalarNode):
            yield _Filter(kind, name, *config, file_name)


def _slot(text: str, found: _Filter, file: Path) -> Slot:
    start, end = found.value.start_mark.index, end_of(text, found.value)
    cut, resume = found.file_name.start_mark.index, end_of(text, found.file_name)
    if not found.key.start_mark.index < start < cut <= resume <= end:  # an alias, whose text is elsewhere
        raise _uses_aliases(found.name)
    pad = " " * (4 if getattr(found.value, "flow_style", False) else max(4, found.value.start_mark.column))
    statistics = f"extension_config_discovery.{found.kind}.{found.name}."
    return Slot(found.name, statistics, file, pad + text[start:cut], text[resume:end])


def _check(name: str, text: str) -> None:
    """Whether both texts are self-contained after a filter was moved from one to the other."""
    try:
        compose_one(text)
    except YamlError as error:
        raise _uses_aliases(name, error.why) from error


def _uses_aliases(name: str, why: str = "") -> ProjectError:
    return ProjectError(
        f"the configuration of the filter {name!r} cannot be moved to a separate file",
        why=why,
        hint="avoid anchors and aliases in it",
    )
