"""YAML that everybody reads alike, and that costs no more than it looks like.

Python's, Go's and Envoy's YAML readers take different plain words for booleans and numbers (`y`, `on`, `1e3`, `0x10`).
So strings are written in quotes, and what is read is refused where readers differ silently: a key that is there twice
(Python keeps the last), a key that is no string.

A few bytes of YAML can stand for billions of values, for a value that contains itself, or for one number that takes
hours. `compose` refuses such a text, and everything that reads YAML reads it through `compose`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pwasm_compiler.errors import PwasmError
from pwasm_compiler.files import shown

SIZE_LIMIT = 4 << 20
NODE_LIMIT = 100_000
"""Values a document may have once its aliases are written out; a few bytes of them can stand for billions."""
VALUE_LIMIT = 1_000_000
"""The same for configurations of Envoy and of filters, which are larger than a resource of Kubernetes may be."""

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""In C where PyYAML has it: twenty times as fast, and it ends nesting at 1,000 levels."""
_TOO_DEEP = "nesting depth"
"""As libyaml says it."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DIGITS = 4000
"""Of a number; Python makes no int of more than 4,300, and sexagesimal ones (`1:30:00`) cost their square."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_PLAIN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


class YamlError(PwasmError):
    """A text that is not the YAML it should be."""


class NotYamlError(YamlError):
    """A text that is not YAML at all."""


class _Loader(_SafeLoader):  # type: ignore[misc]
    """SafeLoader without dates, and with an error where a mapping has a key twice."""

    merges = False
    """Whether `<<` puts one mapping into another, which neither Kubernetes nor Envoy reads."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if self.merges:
            self.flatten_mapping(node)
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise YamlError(f"line {line}: merge keys (<<) are not part of what Kubernetes and Envoy read")
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = getattr(key, "value", "?")
                raise YamlError(f"line {line}: the key {shown} is not a string", hint="write it in quotes")
            if key.value in seen:
                raise YamlError(f"line {line}: duplicate key '{key.value}'")
            seen.add(key.value)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _MergingLoader(_Loader):
    merges = True


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


def load(text: str) -> Any:
    """The one document of `text` as the YAML of a user who never heard of Kubernetes: large, and with merge keys.

    Raises:
        YamlError: as for `nodes`.
    """
    node = compose_one(text)
    return None if node is None else construct(node, merges=True)


def nodes(text: str) -> list[yaml.Node]:
    """The documents as nodes, which know where in the text they are.

    Raises:
        YamlError: not YAML, a key twice, a key that is no string, or larger than anybody's configuration.
    """
    if len(text) > SIZE_LIMIT:
        raise YamlError(f"the text is larger than {SIZE_LIMIT >> 20} MiB")
    found = compose(text, NODE_LIMIT)
    for node in found:
        construct(node)
    return found


def compose_one(text: str, limit: int = VALUE_LIMIT) -> yaml.Node | None:
    """The one document of `text`; None if there is none. The errors are those of `compose`."""
    found = compose(text, limit)
    if len(found) > 1:
        raise NotYamlError("not valid YAML", why=f"line {found[1].start_mark.line + 1}: a second document.")
    return found[0] if found else None


def compose(text: str, limit: int = VALUE_LIMIT) -> list[yaml.Node]:
    """The documents as nodes, whatever their keys are.

    Raises:
        NotYamlError: the text is not YAML.
        YamlError: it stands for more than `limit` values, contains itself, is nested too deeply, or has a number that
            nobody has written by hand.
    """
    with _yaml_errors():
        found = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
        for node in found:
            _count(node, limit, {}, set())
    return found


def construct(node: yaml.Node, *, merges: bool = False) -> Any:
    """What a node of `compose` stands for; with `merges`, `<<` is taken for what YAML 1.1 means by it.

    Raises:
        YamlError: a key twice, a key that is no string, or a value that is not what its tag says.
    """
    loader = (_MergingLoader if merges else _Loader)("")
    try:
        with _yaml_errors():
            return loader.construct_document(node)
    finally:
        loader.dispose()


def dump(document: Any) -> str:
    """One document as YAML, in the order it has."""
    return dump_all([document])


def dump_all(documents: list[Any]) -> str:
    """The documents as YAML, `---` between them."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


@contextmanager
def in_file(file: Path | str) -> Iterator[None]:
    """Let a `YamlError` of the block name the file that the text is from."""
    try:
        yield
    except YamlError as error:
        raise type(error)(f"{shown(file)}: {error.what}", why=error.why, hint=error.hint) from error


@contextmanager
def _yaml_errors() -> Iterator[None]:
    try:
        yield
    except yaml.YAMLError as error:
        if _TOO_DEEP in str(error):
            raise YamlError("the YAML is nested too deeply", why=_where(error)) from error
        raise NotYamlError("not valid YAML", why=_where(error)) from error
    except ValueError as error:  # `!!int word`
        raise NotYamlError("not valid YAML", why=f"{error}.") from error
    except RecursionError as error:
        raise YamlError("the YAML is nested too deeply") from error


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}." if mark else f"{problem}."


def _count(node: yaml.Node, limit: int, known: dict[int, int], above: set[int]) -> int:
    """How many values `node` stands for, every alias written out; an error if they are more than `limit`."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise YamlError(f"line {line}: a value that contains itself")
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif node.tag in _NUMBERS and len(node.value) > _DIGITS:
            raise YamlError(f"line {line}: a number of {len(node.value)} digits")
        above.add(id(node))
        known[id(node)] = 1 + sum(_count(child, limit, known, above) for child in children)
        above.discard(id(node))
        if known[id(node)] > limit:
            raise YamlError(f"the YAML stands for more than {limit:,} values", why="Its aliases multiply them.")
    return known[id(node)]
