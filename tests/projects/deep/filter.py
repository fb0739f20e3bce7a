"""Recursion of every kind CPython knows: `/<kind>?<depth>` answers how it ended, never by a trap; `/` lists the kinds.

The structures are built by loops, so that only the operation under test recurses; what is left of them is freed by
`del` inside the measurement, for deallocation recurses as well.
"""

import abc
import ast
import contextlib
import copy
import csv
import functools
import inspect
import io
import itertools
import json
import marshal
import operator
import pickle
import pprint
import re
import traceback
import types
import typing
import xml.etree.ElementTree as ET
from collections import OrderedDict, UserList, deque
from collections.abc import Callable, Iterator
from string import Formatter, Template
from typing import Any
from xml.parsers import expat

import pwasm
from pwasm import Action, HttpContext


def nested_list(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def nested_tuple(depth: int) -> tuple[object, ...]:
    value: tuple[object, ...] = ()
    for _ in range(depth):
        value = (value,)
    return value


def nested_dict(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def nested_frozenset(depth: int) -> object:
    value: object = frozenset()
    for _ in range(depth):
        value = types.SimpleNamespace(a=value)
    return value


class Node:
    """One link of a chain of objects."""

    next: object = None

    def __init__(self, following: object = None) -> None:
        self.next = following


class Slotted:
    __slots__ = ("next",)

    def __init__(self, following: object = None) -> None:
        self.next = following


def chain(depth: int, link: Callable[[object], object]) -> object:
    value: object = None
    for _ in range(depth):
        value = link(value)
    return value


class Special:
    """Calls itself through the interpreter's C code, by way of one special method."""

    def __init__(self, how: str) -> None:
        self.how = how

    def _down(self) -> object:
        return HOW[self.how](self)

    def __repr__(self) -> str:
        return f"{HOW['repr'](self)}"

    def __str__(self) -> str:
        return str(HOW["str"](self))

    def __format__(self, spec: str) -> str:
        return format(self, spec)

    def __hash__(self) -> int:
        return hash((self,))

    def __eq__(self, other: object) -> bool:
        return [self] == [other] if self is not other else bool(self._down())

    def __lt__(self, other: object) -> bool:
        return sorted([self, other]) == []

    def __add__(self, other: object) -> object:
        return operator.add(self, other)

    def __radd__(self, other: object) -> object:
        return sum([self])

    def __neg__(self) -> object:
        return operator.neg(self)

    def __bool__(self) -> bool:
        return any([self])

    def __len__(self) -> int:
        return len(self)

    def __index__(self) -> int:
        return operator.index(self)

    def __int__(self) -> int:
        return int(self)

    def __contains__(self, item: object) -> bool:
        return operator.contains(self, item)

    def __getitem__(self, key: object) -> object:
        return operator.getitem(self, key)

    def __setitem__(self, key: object, value: object) -> None:
        operator.setitem(self, key, value)

    def __iter__(self) -> Iterator[object]:
        return iter(tuple(self))

    def __call__(self, *arguments: object) -> object:
        return functools.partial(self, *arguments)()

    def __getattr__(self, name: str) -> object:
        return getattr(self, name + "x"[:0])

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, (self,))

    def __reduce_ex__(self, protocol: object) -> object:
        return copy.copy(self)

    def __enter__(self) -> object:
        with self:
            return self

    def __exit__(self, *_: object) -> None:
        return None


HOW: dict[str, Callable[[object], object]] = {"repr": repr, "str": str}


class Property:
    @property
    def down(self) -> object:
        return operator.attrgetter("down")(self)

    @functools.cached_property
    def cached(self) -> object:
        return self.cached

    @classmethod
    def create(cls) -> object:
        return operator.methodcaller("create")(cls)


class Deleted:
    """`__del__` of each frees the next one."""

    def __init__(self, following: object) -> None:
        self.following = following

    def __del__(self) -> None:
        self.following = None


def again(function: Callable[..., object]) -> Callable[[int], object]:
    """Recursion without end: the depth does not matter."""
    return lambda _depth: function()


def by_sorted(_: object = None) -> object:
    return sorted([1], key=by_sorted)


def by_map(_: object = None) -> object:
    return list(map(by_map, [1]))


def by_filter(_: object = None) -> object:
    return list(filter(by_filter, [1]))


def by_reduce(*_: object) -> object:
    return functools.reduce(by_reduce, [1, 2])


def by_min(_: object = None) -> object:
    return min([1, 2], key=by_min)


def by_iter() -> object:
    return list(iter(by_iter, 1))


def by_sub(_: object = None) -> str:
    return re.sub("a", by_sub, "a")


def by_comparison(*_: object) -> int:
    return sorted([1, 2], key=functools.cmp_to_key(by_comparison))[0]


@functools.cache
def by_cache(number: int = 0) -> object:
    return by_cache(number + 1)


@functools.singledispatch
def by_dispatch(value: object) -> object:
    return by_dispatch(value)


def by_generator() -> Iterator[object]:
    yield from by_generator()


def by_comprehension() -> object:
    return [by_comprehension() for _ in "a"]


def by_exec() -> object:
    return eval("by_exec()", {"by_exec": by_exec})


def by_class() -> object:
    return type("A", (), {"__set_name__": 1, "x": Named()})


class Named:
    def __set_name__(self, owner: object, name: str) -> None:
        by_class()


def by_json_default(_: object = None) -> object:
    return json.dumps(object(), default=by_json_default)


def by_json_hook(_: object = None) -> object:
    return json.loads("{}", object_hook=by_json_hook)


def by_pickle_hook() -> object:
    return pickle.dumps(Reduced())


class Reduced:
    def __reduce__(self) -> object:
        return by_pickle_hook()


def chained_exceptions(depth: int) -> BaseException:
    error: BaseException = ValueError("first")
    for _ in range(depth):
        following = ValueError("next")
        following.__context__ = error
        error = following
    return error


def generator_tower(depth: int) -> Iterator[object]:
    def through(inner: Iterator[object]) -> Iterator[object]:
        yield from inner

    tower: Iterator[object] = iter([1])
    for _ in range(depth):
        tower = through(tower)
    return tower


def started(depth: int) -> Iterator[object]:
    """A tower of generators that are all running."""
    tower = generator_tower(depth)
    with contextlib.suppress(RecursionError):
        next(tower)
    return tower


async def coroutine_tower(depth: int) -> object:
    async def through(inner: Any) -> object:
        return await inner

    tower: Any = asyncless()
    for _ in range(depth):
        tower = through(tower)
    return await tower


async def asyncless() -> object:
    return 1


def run(coroutine: Any) -> object:
    try:
        return coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def proxy_tower(depth: int) -> Any:
    value: Any = {"a": 1}
    for _ in range(depth):
        value = types.MappingProxyType(value)
    return value


def alias_tower(depth: int) -> Any:
    value: Any = list
    for _ in range(depth):
        value = types.GenericAlias(value, (int,))
    return value


def property_tower(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = property(value)
    return value


def class_chain(depth: int) -> type:
    first = last = type("First", (), {})
    for _ in range(min(depth, 500)):
        last = type("Next", (last,), {})
    first.__getattr__ = lambda self, name: 1
    first.__len__ = lambda self: 1
    return last


def content_model(depth: int) -> object:
    parser = expat.ParserCreate()
    parser.ElementDeclHandler = lambda name, model: None
    return parser.Parse("<!DOCTYPE a [<!ELEMENT a " + "(" * depth + "b" + ")" * depth + ">]><a/>", True)


def except_tuple(depth: int) -> object:
    try:
        raise KeyError
    except chain(depth, lambda inner: (inner or KeyError,)):
        return "caught"


def wrap(inner: object) -> object:
    def outer() -> object:
        return inner

    if inner is not None:
        outer.__wrapped__ = inner
    return outer


def subinterfaces(depth: int) -> object:
    class Base(abc.ABC):  # noqa: B024
        pass

    first = last = Base
    for _ in range(min(depth, 2000)):
        following = abc.ABCMeta("Next", (), {})
        last.register(following)
        last = following
    return issubclass(int, first)


def towers(depth: int) -> dict[str, Callable[[], Iterator[object]]]:
    def tower(layer: Callable[[Iterator[object]], Iterator[object]]) -> Callable[[], Iterator[object]]:
        def make() -> Iterator[object]:
            value: Iterator[object] = iter([1])
            for _ in range(depth):
                value = layer(value)
            return value

        return make

    return {
        "chain": tower(lambda inner: itertools.chain(inner)),
        "filter": tower(lambda inner: filter(None, inner)),
        "map": tower(lambda inner: map(bool, inner)),
        "enumerate": tower(lambda inner: enumerate(inner)),
        "zip": tower(lambda inner: zip(inner)),
        "islice": tower(lambda inner: itertools.islice(inner, 9)),
        "takewhile": tower(lambda inner: itertools.takewhile(bool, inner)),
        "accumulate": tower(lambda inner: itertools.accumulate(inner)),
        "pairwise": tower(lambda inner: itertools.batched(inner, 1)),
    }


def partial_tower(depth: int) -> object:
    value: Callable[..., object] = len
    for _ in range(depth):
        value = functools.partial(lambda inner, *_: inner, value)
    return value


def bound_tower(depth: int) -> object:
    value: object = len
    for _ in range(depth):
        value = types.MethodType(value, 1)
    return value


def csv_tower(depth: int) -> Any:
    return chain(depth, lambda inner: csv.reader(inner or iter(["a"])))


class Ticket:
    """An asynchronous iterator with one item, which is awaitable itself."""

    def __init__(self, item: object) -> None:
        self.item = item

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return self.item


class Awaitable:
    def __await__(self) -> Any:
        return iter([1])


def anext_tower(depth: int) -> Any:
    return chain(depth, lambda inner: anext(Ticket(inner or Awaitable()), None))


def union_tower(depth: int) -> object:
    value: object = int
    for _ in range(depth):
        value = list[value]  # type: ignore[valid-type]
    return value


def xml_tree(depth: int) -> ET.Element:
    root = inner = ET.Element("a")
    for _ in range(depth):
        inner = ET.SubElement(inner, "a")
    return root


class Slow(pickle.Unpickler):
    def persistent_load(self, pid: object) -> object:
        return pid


def loads_tuples(depth: int) -> object:
    """A tuple of tuples written by hand: protocol 2, opcodes EMPTY_TUPLE and TUPLE1."""
    return pickle.loads(b"\x80\x02)" + b"\x85" * depth + b".")


KINDS: dict[str, Callable[[int], object]] = {
    # data of a client, parsed
    "json_list": lambda n: json.JSONDecoder().raw_decode("[" * n + "]" * n),
    "json_object": lambda n: json.JSONDecoder().raw_decode('{"a":' * n + "1" + "}" * n),
    "json_open": lambda n: json.JSONDecoder().raw_decode("[" * n),
    "json_python": lambda n: json.loads("[" * n + "]" * n, object_pairs_hook=list),
    "xml": lambda n: ET.fromstring("<a>" * n + "</a>" * n),
    "xml_open": lambda n: ET.fromstring("<a>" * n),
    "pickle_loads": lambda n: pickle.loads(b"]" * n + b"a" * (n - 1) + b"."),
    "pickle_tuples": loads_tuples,
    "marshal_loads": lambda n: marshal.loads(b"(\x01\0\0\0" * n + b"N"),
    "literal_eval": lambda n: ast.literal_eval("[" * n + "]" * n),
    "literal_eval_minus": lambda n: ast.literal_eval("-" * n + "1"),
    "compile_attribute": lambda n: compile("a" + ".b" * n, "", "eval"),
    "compile_brackets": lambda n: compile("(" * n + ")" * n, "", "eval"),
    "compile_calls": lambda n: compile("a" + "()" * n, "", "eval"),
    "compile_binary": lambda n: compile("1" + "+a" * n, "", "eval"),
    "compile_not": lambda n: compile("not " * n + "a", "", "eval"),
    "compile_else": lambda n: compile("if 1: pass\n" + "elif 1: pass\n" * n, "", "exec"),
    "ast_parse": lambda n: ast.parse("a" + ".b" * n),
    "ast_dump": lambda n: ast.dump(ast.parse("a" + ".b" * min(n, 1000))),
    "regex": lambda n: re.compile("(" * n + ")" * n),
    "regex_match": lambda n: re.match("(?:a|b)*?c", "ab" * n),
    "regex_groups": lambda n: re.match("(?:(?=(a))a)*", "a" * n),
    "format_fields": lambda n: ("{0" + "[0]" * n + "}").format(nested_list(n + 1)),
    "format_attributes": lambda n: ("{0" + ".next" * n + "}").format(chain(n + 1, Node)),
    "format_nested": lambda n: Formatter().vformat("{:{:{}}}", (1, 2, 3), {}),
    "template": lambda n: Template("$" * n).safe_substitute(),
    "int": lambda n: int("1" * min(n, 4000)),
    # data, written
    "json_dumps": lambda n: json.dumps(nested_list(n)),
    "json_dumps_dict": lambda n: json.dumps(nested_dict(n)),
    "json_dumps_indent": lambda n: json.dumps(nested_list(n), indent=1),
    "repr_list": lambda n: repr(nested_list(n)),
    "repr_tuple": lambda n: repr(nested_tuple(n)),
    "repr_dict": lambda n: repr(nested_dict(n)),
    "repr_deque": lambda n: repr(chain(n, lambda inner: deque([inner]))),
    "repr_ordered": lambda n: repr(chain(n, lambda inner: OrderedDict(a=inner))),
    "repr_partial": lambda n: repr(chain(n, lambda inner: functools.partial(len, inner))),
    "repr_slice": lambda n: repr(chain(n, lambda inner: slice(inner))),
    "repr_namespace": lambda n: repr(nested_frozenset(n)),
    "repr_proxy": lambda n: repr(chain(n, lambda inner: types.MappingProxyType({"a": inner}))),
    "repr_userlist": lambda n: repr(chain(n, lambda inner: UserList([inner]))),
    "repr_generic": lambda n: repr(union_tower(n)),
    "repr_exception": lambda n: repr(chain(n, lambda inner: ValueError(inner))),
    "str_exception": lambda n: str(chain(n, lambda inner: ValueError(inner))),
    "repr_method": lambda n: repr(bound_tower(n)),
    "pprint": lambda n: pprint.pformat(nested_list(n)),
    "percent": lambda n: "%r" % (nested_list(n),),  # noqa: UP031
    "pickle_list": lambda n: pickle.dumps(nested_list(n)),
    "pickle_tuple": lambda n: pickle.dumps(nested_tuple(n)),
    "pickle_dict": lambda n: pickle.dumps(nested_dict(n)),
    "pickle_objects": lambda n: pickle.dumps(chain(n, Node)),
    "pickle_python": lambda n: pickle._dumps(nested_list(n)),
    "marshal_dumps": lambda n: marshal.dumps(nested_list(n)),
    "deepcopy": lambda n: copy.deepcopy(nested_list(n)),
    "deepcopy_objects": lambda n: copy.deepcopy(chain(n, Node)),
    "xml_tostring": lambda n: ET.tostring(xml_tree(n)),
    "xml_itertext": lambda n: list(xml_tree(n).itertext()),
    "xml_iter": lambda n: sum(1 for _ in xml_tree(n).iter()),
    "xml_deepcopy": lambda n: copy.deepcopy(xml_tree(n)),
    # comparing and hashing
    "equal_list": lambda n: nested_list(n) == nested_list(n),
    "equal_tuple": lambda n: nested_tuple(n) == nested_tuple(n),
    "equal_dict": lambda n: nested_dict(n) == nested_dict(n),
    "equal_deque": lambda n: chain(n, lambda i: deque([i])) == chain(n, lambda i: deque([i])),
    "less_list": lambda n: nested_list(n) < nested_list(n),
    "less_tuple": lambda n: nested_tuple(n) < nested_tuple(n),
    "hash_tuple": lambda n: hash(nested_tuple(n)),
    "hash_slice": lambda n: hash(chain(n, lambda inner: slice(inner))),
    "hash_partial": lambda n: hash(bound_tower(n)),
    "hash_generic": lambda n: hash(union_tower(n)),
    "hash_namespace": lambda n: nested_frozenset(n) == nested_frozenset(n),
    "hash_frozenset": lambda n: hash(chain(n, lambda inner: frozenset([(inner,)]))),
    "isinstance": lambda n: isinstance(1, chain(n, lambda inner: (inner or str,))),
    "issubclass": lambda n: issubclass(int, chain(n, lambda inner: (inner or str,))),
    "contains": lambda n: nested_list(n) in [nested_list(n)],
    "startswith": lambda n: min(nested_tuple(n), nested_tuple(n)),
    # freeing
    "free_list": lambda n: bool(nested_list(n)),
    "free_tuple": lambda n: bool(nested_tuple(n)),
    "free_dict": lambda n: bool(nested_dict(n)),
    "free_objects": lambda n: bool(chain(n, Node)),
    "free_slotted": lambda n: bool(chain(n, Slotted)),
    "free_del": lambda n: bool(chain(n, Deleted)),
    "free_deque": lambda n: bool(chain(n, lambda inner: deque([inner]))),
    "free_cells": lambda n: bool(chain(n, lambda inner: lambda: inner)),
    "free_partial": lambda n: bool(partial_tower(n)),
    "free_methods": lambda n: bool(bound_tower(n)),
    "free_slices": lambda n: bool(chain(n, lambda inner: slice(inner))),
    "free_exceptions": lambda n: bool(chained_exceptions(n)),
    "free_exception_args": lambda n: bool(chain(n, lambda inner: ValueError(inner))),
    "free_generators": lambda n: bool(generator_tower(n)),
    "free_xml": lambda n: bool(xml_tree(n) is None),
    "free_ordered": lambda n: bool(chain(n, lambda inner: OrderedDict(a=inner))),
    "free_proxies": lambda n: bool(chain(n, lambda inner: types.MappingProxyType({"a": inner}))),
    "free_memoryviews": lambda n: bool(chain(n, lambda inner: memoryview(inner or b"a"))),
    "free_generics": lambda n: bool(union_tower(n)),
    "free_classes": lambda n: bool(chain(min(n, 500), lambda inner: type("A", (inner or object,), {}))),
    "free_properties": lambda n: bool(chain(n, lambda inner: property(inner))),
    "free_static": lambda n: bool(chain(n, lambda inner: staticmethod(inner))),
    "free_weak": lambda n: bool(chain(n, lambda inner: types.SimpleNamespace(a=inner))),
    "free_strings": lambda n: bool(chain(n, lambda inner: io.BytesIO(b"a"))),
    "free_bytes_iter": lambda n: bool(chain(n, lambda inner: iter((inner,)))),
    "free_reversed": lambda n: bool(chain(n, lambda inner: reversed([inner]))),
    "generators_close": lambda n: started(n).close(),
    "generators_throw": lambda n: started(n).throw(KeyError),
    "generators_next": lambda n: list(started(n)),
    "coroutines": lambda n: run(coroutine_tower(n)),
    "proxy_get": lambda n: proxy_tower(n)["a"],
    "proxy_len": lambda n: len(proxy_tower(n)),
    "proxy_iter": lambda n: list(proxy_tower(n)),
    "proxy_in": lambda n: "a" in proxy_tower(n),
    "proxy_keys": lambda n: proxy_tower(n).keys(),
    "proxy_method": lambda n: proxy_tower(n).get("a"),
    "proxy_or": lambda n: proxy_tower(n) | {},
    "proxy_reversed": lambda n: reversed(proxy_tower(n)),
    "proxy_copy": lambda n: proxy_tower(n).copy(),
    "proxy_str": lambda n: str(proxy_tower(n)),
    "proxy_hash": lambda n: hash(proxy_tower(n)),
    "alias_attribute": lambda n: alias_tower(n).missing,
    "alias_call": lambda n: alias_tower(n)(),
    "alias_repr": lambda n: repr(alias_tower(n)),
    "alias_hash": lambda n: hash(alias_tower(n)),
    "alias_iter": lambda n: list(alias_tower(n)),
    "alias_item": lambda n: alias_tower(n)[int],
    "alias_class": lambda n: type("A", (alias_tower(n),), {}),
    "alias_or": lambda n: hash(alias_tower(n) | int),
    "alias_parameters": lambda n: types.GenericAlias(list, nested_tuple(n)).__parameters__,
    "code_constants": lambda n: loads_tuples.__code__.replace(co_consts=(nested_tuple(n),)),
    "csv_next": lambda n: next(csv_tower(n)),
    "csv_free": lambda n: bool(csv_tower(n)),
    "anext_next": lambda n: next(anext_tower(n).__await__()),
    "anext_send": lambda n: anext_tower(n).send(None),
    "anext_throw": lambda n: anext_tower(n).throw(ValueError),
    "anext_close": lambda n: anext_tower(n).close(),
    "anext_free": lambda n: bool(anext_tower(n)),
    "property_abstract": lambda n: property_tower(n).__isabstractmethod__,
    "property_doc": lambda n: property_tower(n).__doc__,
    "static_call": lambda n: chain(n, lambda inner: staticmethod(inner or int))(),
    "static_abstract": lambda n: chain(n, lambda i: staticmethod(i or int)).__isabstractmethod__,
    "class_method": lambda n: chain(n, lambda i: classmethod(i or int)).__get__(1),
    "method_call": lambda n: bound_tower(n)(),
    "partial_call": lambda n: partial_tower(n)(),
    "method_doc": lambda n: bound_tower(n).__doc__,
    "method_equal": lambda n: bound_tower(n) == bound_tower(n),
    "class_chain": class_chain,
    "content_model": content_model,
    "subinterfaces": subinterfaces,
    "except_tuple": except_tuple,
    "singledispatch_mro": lambda n: functools.singledispatch(len).register(class_chain(min(n, 500)), len),
    "signature": lambda n: inspect.signature(chain(n, lambda i: functools.partial(lambda: 1, *([i] if i else [])))),
    "unwrap": lambda n: inspect.unwrap(chain(n, wrap)),
    "traceback": lambda n: "".join(traceback.format_exception(chained_exceptions(min(n, 3000)))),
    "generic_typing": lambda n: bool(chain(min(n, 500), lambda inner: typing.Optional[list[inner or int]])),  # noqa: UP045
    # recursion through special methods and callbacks
    "sorted": again(by_sorted),
    "map": again(by_map),
    "filter": again(by_filter),
    "reduce": again(by_reduce),
    "min": again(by_min),
    "iter": again(by_iter),
    "sub": again(by_sub),
    "cmp_to_key": again(by_comparison),
    "lru_cache": again(by_cache),
    "singledispatch": again(lambda: by_dispatch(1)),
    "yield_from": again(lambda: list(by_generator())),
    "comprehension": again(by_comprehension),
    "eval": again(by_exec),
    "set_name": again(by_class),
    "json_default": again(by_json_default),
    "json_hook": again(by_json_hook),
    "reduce_hook": again(by_pickle_hook),
    "property": again(lambda: Property().down),
    "cached_property": again(lambda: Property().cached),
    "classmethod": again(Property.create),
    **{f"special_{name}": again(functools.partial(function, Special("repr"))) for name, function in {
        "repr": repr,
        "str": str,
        "format": format,
        "hash": hash,
        "eq": lambda value: value == Special("repr"),
        "lt": lambda value: value < Special("repr"),
        "add": lambda value: value + 1,
        "radd": lambda value: sum([value]),
        "neg": operator.neg,
        "bool": bool,
        "len": len,
        "index": operator.index,
        "int": int,
        "contains": lambda value: 1 in value,
        "getitem": lambda value: value[0],
        "setitem": lambda value: operator.setitem(value, 0, 0),
        "iter": iter,
        "call": lambda value: value(),
        "getattr": lambda value: value.missing,
        "instancecheck": lambda value: isinstance(1, value),
        "copy": copy.copy,
        "enter": lambda value: value.__enter__(),
    }.items()},
}  # fmt: skip
for _name in towers(1):
    KINDS[f"tower_{_name}"] = lambda n, name=_name: list(towers(n)[name]())
    KINDS[f"free_tower_{_name}"] = lambda n, name=_name: bool(towers(n)[name]())
KINDS["tower_generators"] = lambda n: list(generator_tower(n))


class Deep(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        kind, _, depth = (pwasm.get_http_request_header(":path") or "")[1:].partition("?")
        try:
            if kind == "":
                pwasm.send_http_response(200, body=" ".join(KINDS))
                return Action.PAUSE
            KINDS[kind](int(depth))
            outcome = "done"
        except BaseException as error:  # whatever it is, it must be one of Python's
            outcome = type(error).__name__
        pwasm.send_http_response(200, body=outcome)
        return Action.PAUSE


pwasm.set_http_context(Deep)
