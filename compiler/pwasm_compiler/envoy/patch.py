"""Insert a Wasm filter into someone else's Envoy configuration, and change nothing else.

Comments, order and quotes are preserved. The result is verified: it is parsed again, and must equal the old document
plus the entry.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from pwasm_compiler.envoy.config import CONNECTION_MANAGER, NODE, WasmFilter, ecds_entry, remote_cluster
from pwasm_compiler.envoy.kinds import WASM, Json
from pwasm_compiler.envoy.module import Remote
from pwasm_compiler.envoy.nodes import Edit, child, edited, end_of, in_place_of, items, scalar, sequence, type_of
from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.yaml_text import YamlError, construct, dump, load_all, nodes

# The tutorial's text has the network filter's type in place of the HTTP filter's; it is replaced all the same.
_WASM_TYPES = set(WASM.values())
_NO_FILTERS = {"plugin": "bootstrap_extensions", "access_log": "access_log"}
"""Kind of a module that is in no list of filters → where it is."""
_KEPT = ("name", "disabled", "is_optional", "isOptional")


class PatchError(PwasmError):
    """A configuration without a place for the filter."""


@dataclass(frozen=True)
class Listener:
    """A listener in the file, with the filter lists in it that can contain a filter of this kind."""

    name: str
    chains: tuple[yaml.SequenceNode, ...]


def patch(
    text: str, plugin: WasmFilter, module: str, ecds_file: Path | None, listeners: Sequence[str] = ()
) -> tuple[str, WasmFilter]:
    """`text` with the filter inserted: replacing its earlier form, else before the router (or TCP proxy).

    Running it again changes nothing more. `module` is the name of the module's file: an entry without a name of its own
    is the same filter if it loads a file of that name. `listeners` selects listeners if there are several to choose
    from. With `ecds_file` the filter itself is to be in that file; it is returned with what it keeps of the one it
    replaces.

    Raises:
        PatchError: there is no place for the filter, or more than one.
        YamlError: the text is not YAML.
    """
    root, before = _compose(text)
    chains: dict[int, yaml.SequenceNode] = {}  # by position: an alias is one list in several places
    for listener in _choose(_listeners(root, plugin.kind), listeners):
        chains |= {chain.start_mark.index: chain for chain in listener.chains}
    kept = [_plugin_config(same) for chain in chains.values() if (same := _same(chain, plugin, module)) is not None]
    if ecds_file is not None and kept:
        if any(config != kept[0] for config in kept):
            raise UsageError(
                "the filter is configured differently in several places", hint="choose with --listener NAME"
            )
        plugin = replace(plugin, kept=kept[0])
    made = [_edit(text, chain, plugin, module, ecds_file) for chain in chains.values()]
    edits = [edit for edit, _ in made]
    if isinstance(plugin.path, Remote) and plugin.path.own_cluster:
        edits += _cluster_edit(text, root, plugin.path)
    if ecds_file is not None:
        edits += _node_edit(root)
    text = edited(text, edits)
    _verify(text, before, [entry for _, entry in made])
    return text, plugin


def _compose(text: str) -> tuple[yaml.Node, Json]:
    found = nodes(text)
    document = construct(found[0]) if len(found) == 1 else None
    if not isinstance(document, dict):
        raise PatchError("not an Envoy configuration", why="It is not a single mapping with static_resources.")
    return found[0], document


def _listeners(root: yaml.Node, kind: str) -> list[Listener]:
    if kind in _NO_FILTERS:
        raise UsageError(
            "this filter handles no traffic, so it does not belong in a listener's filters",
            hint=f"without -c, pwasm config generates a configuration that has it in {_NO_FILTERS[kind]}",
        )
    found = []
    for number, listener in enumerate(sequence(child(root, "static_resources", "listeners"))):
        filters = [*sequence(child(listener, "filter_chains")), child(listener, "default_filter_chain")]
        chains = tuple(chain for node in filters if node for chain in _chains(child(node, "filters"), kind))
        if chains:
            found.append(Listener(scalar(child(listener, "name")) or f"number {number + 1}", chains))
    return found


def _chains(filters: yaml.Node | None, kind: str) -> Iterator[yaml.SequenceNode]:
    """The lists in a filter chain that can contain a filter of this kind."""
    managers = [node for node in sequence(filters) if type_of(node) == CONNECTION_MANAGER]
    if kind == "tcp" and not managers and isinstance(filters, yaml.SequenceNode) and filters.value:
        yield filters
    for manager in managers if kind == "http" else ():
        http_filters = child(manager, "typed_config", "http_filters")
        if isinstance(http_filters, yaml.SequenceNode) and http_filters.value:
            yield http_filters


def _choose(found: list[Listener], wanted: Sequence[str]) -> list[Listener]:
    if not found:
        raise PatchError(
            "the configuration has no listener for this filter",
            why="No listener in static_resources has a connection manager with http_filters, or a TCP filter chain.",
            hint="listeners delivered over xDS are configured at their control plane",
        )
    names = [listener.name for listener in found]
    unknown = next((name for name in wanted if name not in names), None)
    if unknown is not None:
        raise UsageError(f"no listener '{unknown}' for this filter", hint=f"use one of: {', '.join(names)}")
    if not wanted and len(found) > 1:
        raise UsageError(
            f"the filter could go into {len(found)} listeners: {', '.join(names)}", hint="choose with --listener NAME"
        )
    return [listener for listener in found if not wanted or listener.name in wanted]


def _edit(
    text: str, chain: yaml.SequenceNode, plugin: WasmFilter, module: str, ecds_file: Path | None
) -> tuple[Edit, Json]:
    """The edit of one list, and the entry it then contains."""
    same = _same(chain, plugin, module)
    if same is not None and ecds_file is None:
        plugin = replace(plugin, kept=_plugin_config(same))
    entry = plugin.to_json() if ecds_file is None else ecds_entry(plugin, ecds_file)
    if same is not None:
        old = {key.value: construct(value) for key, value in same.value if key.value in _KEPT}
        # With ECDS, Envoy requests the entry's name; without, the name in the file is kept.
        entry = {**old, **entry} if ecds_file is not None else {**entry, **old}
        start, end = same.start_mark.index, end_of(text, same)
        return in_place_of(text, start, end, _entry_text(entry, chain, same.start_mark.column)), entry
    router = next((node for node in chain.value if _is_router(node)), chain.value[-1])
    if chain.flow_style:
        return Edit(router.start_mark.index, router.start_mark.index, json.dumps(entry) + ", "), entry
    dash, column = _dash(text, router)
    return Edit(dash, dash, f"- {_entry_text(entry, chain, column + 2)}\n{' ' * column}"), entry


def _dash(text: str, item: yaml.Node) -> tuple[int, int]:
    """Index and column of the dash before an item of a block list: with an anchor, the list starts elsewhere."""
    dash = text.rindex("-", 0, item.start_mark.index)
    return dash, dash - (text.rfind("\n", 0, dash) + 1)


def _entry_text(entry: Json, chain: yaml.SequenceNode, column: int) -> str:
    """The entry as written at `column`, its first line without indentation."""
    if chain.flow_style:
        return json.dumps(entry)
    return textwrap.indent(dump(entry), " " * column).strip()


def _same(chain: yaml.SequenceNode, plugin: WasmFilter, module: str) -> yaml.MappingNode | None:
    """The entry that is an earlier form of `plugin`."""
    mappings = (node for node in chain.value if isinstance(node, yaml.MappingNode))
    return next((node for node in mappings if _is_same_plugin(node, plugin, module)), None)


def _plugin_config(entry: yaml.Node) -> Json:
    """The PluginConfig of an entry, with its keys and those of its vm_config in snake_case; empty for ECDS."""
    config = child(entry, "typed_config", "config")
    found = {key: construct(value) for key, value in items(config)}
    vm = child(config, "vm_config")
    return {**found, **({"vm_config": {key: construct(value) for key, value in items(vm)}} if vm else {})}


def _is_same_plugin(node: yaml.Node, plugin: WasmFilter, module: str) -> bool:
    """Whether an entry of the file is an earlier form of `plugin`, judged by its name or by the file it loads."""
    if child(node, "config_discovery") is not None:
        return scalar(child(node, "name")) == plugin.name
    if type_of(node) not in _WASM_TYPES:
        return False
    config = child(node, "typed_config", "config")
    name = scalar(child(config, "name"))
    file = scalar(child(config, "vm_config", "code", "local", "filename")) or ""
    return name == plugin.name if name else file.rpartition("/")[2] == module


def _is_router(node: yaml.Node) -> bool:
    return (type_of(node) or scalar(child(node, "name")) or "").endswith(("router.v3.Router", "filters.http.router"))


def _cluster_edit(text: str, root: yaml.Node, remote: Remote) -> list[Edit]:
    resources, clusters = child(root, "static_resources"), child(root, "static_resources", "clusters")
    cluster = remote_cluster(remote)
    if any(scalar(child(node, "name")) == remote.cluster for node in sequence(clusters)):
        return []
    if isinstance(clusters, yaml.SequenceNode) and clusters.value:
        last = clusters.value[-1]
        end = len(text[: end_of(text, last)].rstrip())
        if clusters.flow_style:
            return [Edit(end, end, ", " + json.dumps(cluster))]
        column = _dash(text, last)[1]
        lines = textwrap.indent(dump([cluster]), " " * column)
        return [Edit(end, end, "\n" + lines.rstrip())]
    if clusters is not None:  # `clusters: []`, or nothing after the colon
        start, end = clusters.start_mark.index, clusters.end_mark.index
        return [Edit(start, end if end > start else start, (" " if end == start else "") + json.dumps([cluster]))]
    assert isinstance(resources, yaml.MappingNode)
    first = resources.value[0][0].start_mark
    if resources.flow_style:
        return [Edit(first.index, first.index, f'"clusters": {json.dumps([cluster])}, ')]
    lines = textwrap.indent(dump({"clusters": [cluster]}), " " * first.column).strip()
    return [Edit(first.index, first.index, f"{lines}\n{' ' * first.column}")]


def _node_edit(root: yaml.Node) -> list[Edit]:
    """A node of our own for a configuration without one: Envoy requires one for xDS."""
    node = child(root, "node")
    if node is None:
        at = root.start_mark.index
        if getattr(root, "flow_style", False):
            return [Edit(at + 1, at + 1, f'"node": {json.dumps(NODE)}, ')]
        return [Edit(at, at, dump({"node": NODE}))]
    if not all(scalar(child(node, key)) for key in NODE):
        raise PatchError("the configuration's node has no id or no cluster", hint="Envoy requires both for ECDS")
    return []


def _verify(text: str, before: Json, entries: Sequence[Json]) -> None:
    """Refuse a text that is not `before` plus the entries."""
    try:
        after = load_all(text)
    except YamlError as error:
        raise _unusual() from error
    if len(after) != 1 or not all(_has(after[0], entry) for entry in entries) or not _contains(after[0], before):
        raise _unusual()


def _unusual() -> PatchError:
    return PatchError(
        "the configuration cannot be edited without changing more than the filter",
        hint="write the filter list as a plain YAML list, or as JSON",
    )


def _has(value: Any, entry: Json) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(value == entry) or any(_has(child, entry) for child in children)


def _contains(after: Any, before: Any) -> bool:
    """Whether everything in `before` is in `after`, in the same order; Wasm filters may have changed."""
    if isinstance(before, dict) and isinstance(after, dict):
        if _replaceable(before) and _replaceable(after):
            return True
        return all(key in after and _contains(after[key], value) for key, value in before.items())
    if isinstance(before, list) and isinstance(after, list):
        rest = iter(after)
        return all(any(_contains(candidate, item) for candidate in rest) for item in before)
    return bool(after == before) or before is None


def _replaceable(value: Json) -> bool:
    config = value.get("typed_config")
    message = config.get("@type", "") if isinstance(config, dict) else ""
    return "config_discovery" in value or str(message).rpartition("/")[2] in _WASM_TYPES
