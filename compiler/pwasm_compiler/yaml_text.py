"""YAML that everybody reads alike.

Python's, Go's and Envoy's YAML readers take different plain words for booleans and numbers (`y`, `on`, `1e3`, `0x10`).
So strings are written in quotes, and what is read is refused where readers differ silently: a key that is there twice
(Python keeps the last), a key that is no string.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from pwasm_compiler.errors import PwasmError
from pwasm_compiler.yaml_values import Loader, TooMuch, refuse_too_much

SIZE_LIMIT = 4 << 20
NODE_LIMIT = 100_000
"""Values a document may have once its aliases are written out; a few bytes of them can stand for billions."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_PLAIN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


class YamlError(PwasmError):
    """A text that is not the YAML it should be."""


class _Loader(Loader):  # type: ignore[misc]
    """SafeLoader without dates, and with an error where a mapping has a key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise YamlError(f"line {line}: merge keys (<<) are not part of what Kubernetes and Envoy read")
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = getattr(key, "value", "?")
                raise YamlError(f"line {line}: the key {shown} is not a string", hint="write it in quotes")
            if key.value in seen:
                raise YamlError(f"line {line}: the key '{key.value}' is there twice")
            seen.add(key.value)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Strings in double quotes, keys plain where every reader takes them for strings; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, _ in node.value:
            if _PLAIN_KEY.fullmatch(key.value) and key.value.lower() not in _NOT_PLAIN:
                key.style = None
        return node


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _quoted)


def load_all(text: str) -> list[Any]:
    """The documents of `text` that are not empty; the errors are those of `nodes`."""
    documents = [construct(node) for node in nodes(text)]
    return [document for document in documents if document is not None]


def nodes(text: str) -> list[yaml.Node]:
    """The documents as nodes, which know where in the text they are.

    Raises:
        YamlError: not YAML, a key twice, a key that is no string, or larger than anybody's configuration.
    """
    if len(text) > SIZE_LIMIT:
        raise YamlError(f"the text is larger than {SIZE_LIMIT >> 20} MiB")
    try:
        found = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
        for node in found:
            refuse_too_much(node, NODE_LIMIT)
            construct(node)
    except yaml.YAMLError as error:
        raise YamlError("not valid YAML", why=_where(error)) from error
    except TooMuch as error:
        raise YamlError(error.what, why=error.why) from error
    except RecursionError as error:
        raise YamlError("the YAML is nested too deeply") from error
    return found


def construct(node: yaml.Node) -> Any:
    """What a node stands for."""
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def dump(document: Any) -> str:
    """One document as YAML, in the order it has."""
    return dump_all([document])


def dump_all(documents: list[Any]) -> str:
    """The documents as YAML, `---` between them."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}." if mark else f"{problem}."
