"""YAML that every reader understands alike, and that costs no more to read than its size suggests.

Python's, Go's and Envoy's YAML readers take different plain words for booleans and numbers (`y`, `on`, `1e3`, `0x10`).
So strings are written in quotes, and input is refused where readers differ silently: duplicate keys (Python keeps the
last), and keys that are not strings.

A few bytes of YAML can expand to billions of values, to a value that contains itself, or to a number that takes hours
to parse. `compose` refuses such a text, and everything that reads YAML reads it through `compose`.
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
"""Limit on a document's values with its aliases expanded; a few bytes of aliases can stand for billions."""
VALUE_LIMIT = 1_000_000
"""The same for Envoy and filter configurations, which may be larger than a Kubernetes resource."""

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader if PyYAML has it: twenty times as fast, and it limits nesting to 1,000 levels."""
_TOO_DEEP = "nesting depth"
"""In libyaml's words."""
_DEPTH_LIMIT = 100
"""Limit on a value's nesting: writers of YAML and of JSON recurse."""
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
"""The types that JSON has too; Kubernetes and Envoy have no other."""
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DIGITS = 4000
"""Limit on a number's digits; Python converts at most 4,300, and sexagesimal ones (`1:30:00`) take quadratic time."""
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_PLAIN = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}


class YamlError(PwasmError):
    """A text that is not acceptable YAML."""


class NotYamlError(YamlError):
    """A text that is not YAML at all."""


class _Loader(_SafeLoader):  # type: ignore[misc]
    """SafeLoader without dates, and with an error for duplicate keys."""

    merges = False
    """Whether `<<` merges mappings, which neither Kubernetes nor Envoy supports."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        if self.merges:
            self.flatten_mapping(node)
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise YamlError(f"line {line}: merge keys (<<) are not supported by Kubernetes and Envoy")
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = getattr(key, "value", "?")
                raise YamlError(f"line {line}: the key {shown} is not a string", hint="quote it")
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
    """Strings in double quotes, keys plain if every reader takes them as strings; no aliases."""

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
    """The non-empty documents of `text`; the same errors as `nodes`."""
    return [document for _, document in _documents(text) if document is not None]


def load(text: str) -> Any:
    """The one document of `text`, with the limits of general YAML: larger, and with merge keys.

    Raises:
        YamlError: as for `nodes`.
    """
    node = compose_one(text)
    return None if node is None else construct(node, merges=True)


def nodes(text: str) -> list[yaml.Node]:
    """The documents as nodes, which carry their position in the text.

    Raises:
        YamlError: not YAML, a duplicate key, a key that is not a string, or larger than any real configuration.
    """
    return [node for node, _ in _documents(text)]


def _documents(text: str) -> list[tuple[yaml.Node, Any]]:
    if len(text) > SIZE_LIMIT:
        raise YamlError(f"the text is larger than {SIZE_LIMIT >> 20} MiB")
    return [(node, construct(node)) for node in compose(text, NODE_LIMIT)]


def compose_one(text: str, limit: int = VALUE_LIMIT) -> yaml.Node | None:
    """The one document of `text`; None if there is none. The same errors as `compose`."""
    found = compose(text, limit)
    if len(found) > 1:
        raise NotYamlError("not valid YAML", why=f"line {found[1].start_mark.line + 1}: unexpected second document.")
    return found[0] if found else None


def compose(text: str, limit: int = VALUE_LIMIT) -> list[yaml.Node]:
    """The documents as nodes; keys are not checked.

    Raises:
        NotYamlError: the text is not YAML.
        YamlError: it expands to more than `limit` values, contains itself, is nested too deeply, has a type that JSON
            does not have, or a number that no one would write by hand.
    """
    with _yaml_errors():
        found = [node for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
        for node in found:
            _count(node, limit, {}, set())
    return found


def construct(node: yaml.Node, *, merges: bool = False) -> Any:
    """The value of a node of `compose`; with `merges`, `<<` has its YAML 1.1 meaning.

    Raises:
        YamlError: a duplicate key, a key that is not a string, or a value that contradicts its tag.
    """
    loader = (_MergingLoader if merges else _Loader)("")
    try:
        with _yaml_errors():
            return loader.construct_document(node)
    finally:
        loader.dispose()


def dump(document: Any) -> str:
    """One document as YAML, in its own order."""
    return dump_all([document])


def dump_all(documents: list[Any]) -> str:
    """The documents as YAML, `---` between them.

    Raises:
        YamlError: one is nested too deeply.
    """
    with _yaml_errors():
        text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return "".join(letter if letter == "\n" or letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    """A letter that cannot be seen, as in the double quotes of YAML: of all that is not ASCII, they are around it."""
    return f"\\u{ord(letter):04x}" if ord(letter) < 1 << 16 else f"\\U{ord(letter):08x}"


@contextmanager
def in_file(file: Path | str) -> Iterator[None]:
    """Prefix a `YamlError` raised in the block with the file that the text is from."""
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
    """How many values `node` stands for with every alias expanded; an error if more than `limit`."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise YamlError(f"line {line}: a value that contains itself")
    if len(above) > _DEPTH_LIMIT:
        raise YamlError(f"line {line}: nested more than {_DEPTH_LIMIT} levels deep")
    if node.tag not in _TAGS:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        raise YamlError(f"line {line}: a value of the type {tag}, which JSON does not have", hint="quote it")
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
            raise YamlError(f"the YAML expands to more than {limit:,} values", why="Its aliases multiply them.")
    return known[id(node)]
