"""Towers of everything that can be made of itself, and everything that can be done with a tower.

Which functions of CPython recurse is not guessed here: every public class and function of many modules is called with
the result of its own call, a few hundred and then many times, and where that works the tower is asked for everything a
value can be asked for. `/` lists the towers, `/<tower>?<depth>` answers how each operation ended.
"""

import array
import builtins
import collections
import contextlib
import contextvars
import copy
import csv
import datetime
import decimal
import enum
import fractions
import functools
import inspect
import io
import ipaddress
import itertools
import json
import logging
import marshal
import math
import operator
import pathlib
import pickle
import queue
import random
import re
import reprlib
import statistics
import string
import struct
import sys
import types
import typing
import urllib.parse
import uuid
import weakref
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import pwasm
from pwasm import Action

MODULES: tuple[Any, ...] = (
    array, builtins, collections, contextlib, contextvars, copy, csv, datetime, decimal, enum, fractions,
    functools, inspect, io, ipaddress, itertools, json, logging, math, operator, pathlib, pickle, queue, random, re,
    reprlib, statistics, string, struct, types, typing, urllib.parse, uuid, weakref, ET,
)  # fmt: skip
NOT_CALLED = {
    # they wait, end the program, start the debugger, or change the interpreter for all that follow
    "breakpoint", "exit", "quit", "input", "help", "setcontext", "setrecursionlimit", "shutdown", "basicConfig",
    "disable", "captureWarnings", "setLoggerClass", "setLogRecordFactory", "addLevelName", "register", "open",
    "set_event_loop_policy", "seed", "setstate", "purge", "field_size_limit", "create_autospec", "run", "Runner",
    "clear_overloads", "print", "finalize", "iterparse",
}  # fmt: skip
PATTERNS: dict[str, Callable[[Any, Any], Any]] = {
    "f(x)": lambda f, x: f(x),
    "f([x])": lambda f, x: f([x]),
    "f((x,))": lambda f, x: f((x,)),
    "f(a=x)": lambda f, x: f(a=x),
    "f({'a': x})": lambda f, x: f({"a": x}),
    "f(len, x)": lambda f, x: f(len, x),
    "f(bool, x)": lambda f, x: f(bool, x),
    "f(x, 1)": lambda f, x: f(x, 1),
    "f(1, x)": lambda f, x: f(1, x),
    "f('a', x)": lambda f, x: f("a", x),
    "f(x, ())": lambda f, x: f(x, ()),
    "f(x, (int,))": lambda f, x: f(x, (int,)),
    "f(x, None)": lambda f, x: f(x, None),
    "f(None, x)": lambda f, x: f(None, x),
    "f('A', (x,), {})": lambda f, x: f("A", (x,), {}),
    "f[x]": lambda f, x: f[x],
    "f[x, int]": lambda f, x: f[x, int],
    "f(b'a', x)": lambda f, x: f(b"a", x),
    "f(lambda: x)": lambda f, x: f(lambda: x),
    "f(x, lambda *_: 1)": lambda f, x: f(x, lambda *_: 1),
    "f(lambda *_: 1, x)": lambda f, x: f(lambda *_: 1, x),
}


class Plain:
    """An object that takes everything."""

    value: Any = None


SEEDS: tuple[Callable[[], Any], ...] = (
    lambda: iter([1]), lambda: [], lambda: {}, lambda: int, lambda: len, lambda: b"a", lambda: "a", lambda: 1, Plain,
    lambda: None, lambda: object, lambda: typing.TypeVar("T"), lambda: io.BytesIO(b"a"), lambda: io.StringIO("a"),
    lambda: Exception("a"), lambda: {"a": 1}.items(), lambda: (n for n in "a"), lambda: weakref.ref(Plain),
)  # fmt: skip


def _await(x: Any) -> Any:
    return x.__await__().send(None)


def _match(x: Any) -> Any:
    match x:
        case {"a": {"a": inner}}:
            return inner
        case [inner]:
            return inner
        case Plain(value=inner):
            return inner
    return None


def _raise(x: Any) -> Any:
    try:
        raise KeyError
    except x:
        return 1


def _with(x: Any) -> Any:
    with x:
        return 1


def _delete(x: Any) -> None:
    del x


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "repr": repr, "str": str, "hash": hash, "bool": bool, "len": len, "iter": iter, "next": next, "list": list,
    "tuple": tuple, "dict": dict, "set": lambda x: {x}, "sum": sum, "sorted": lambda x: sorted([x, x]), "max": max,
    "call": lambda x: x(), "call 1": lambda x: x(1), "call x": lambda x: x(x), "getattr": lambda x: x.missing,
    "doc": lambda x: x.__doc__, "name": lambda x: x.__name__, "module": lambda x: x.__module__,
    "parameters": lambda x: x.__parameters__, "abstract": lambda x: x.__isabstractmethod__,
    "signature": lambda x: x.__text_signature__, "wrapped": inspect.unwrap, "setattr": lambda x: setattr(x, "a", 1),
    "delattr": lambda x: delattr(x, "a"), "equal": lambda x: x == copy.copy(x), "same": lambda x: operator.eq(x, x),
    "less": lambda x: operator.lt(x, x), "add": lambda x: x + x, "or": lambda x: x | int, "ror": lambda x: int | x,
    "and": lambda x: x & x, "negative": lambda x: -x, "absolute": abs, "int": int, "float": float, "complex": complex,
    "index": operator.index, "round": round, "floor": math.floor, "divmod": lambda x: divmod(x, 2),
    "power": lambda x: x**2, "item": lambda x: x[0], "item a": lambda x: x["a"], "item int": lambda x: x[int],
    "slice": lambda x: x[:1], "contains": lambda x: 1 in x, "contains itself": lambda x: x in [x], "reversed": reversed,
    "copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickle.dumps, "marshal": marshal.dumps, "json": json.dumps,
    "isinstance": lambda x: isinstance(1, x), "issubclass": lambda x: issubclass(int, x), "format": format,
    "percent": lambda x: operator.mod("%s %r %d", (x, x, x)), "bytes": bytes, "memoryview": memoryview, "dir": dir,
    "vars": vars,
    "await": _await, "anext": lambda x: anext(x).send(None), "aiter": aiter, "send": lambda x: x.send(None),
    "throw": lambda x: x.throw(KeyError), "close": lambda x: x.close(), "with": _with, "except": _raise,
    "raise": lambda x: (_ for _ in ()).throw(x), "match": _match, "size": sys.getsizeof, "weak": weakref.ref,
    "reduce": lambda x: x.__reduce_ex__(4), "get": lambda x: x.__get__(1), "get class": lambda x: x.__get__(None, int),
    "set it": lambda x: x.__set__(1, 1), "bases": lambda x: type("A", (x,), {}), "mro entries": types.resolve_bases,
    "subclass": lambda x: types.new_class("A", (x,)), "hints": typing.get_type_hints, "inspect": inspect.signature,
    "join": lambda x: "".join(x), "join bytes": lambda x: b"".join(x), "extend": lambda x: [].extend(x),
    "star": lambda x: len(*x), "double star": lambda x: dict(**x), "chain": lambda x: list(itertools.chain(x)),
    "read": lambda x: x.read(), "flush": lambda x: x.flush(), "write": lambda x: x.write(b"a"),
    "print": lambda x: print(x, file=io.StringIO()), "exception": lambda x: repr(ValueError(x)),
    "group": lambda x: ExceptionGroup("a", [x]), "fields": lambda x: "{0.a[0]!r:{1}}".format(x, 1),
    "startswith": lambda x: "a".startswith(x), "translate": lambda x: "a".translate(x),
    "update": lambda x: {}.update(x),
    "sub": lambda x: re.sub("a", x, "a"), "key": lambda x: sorted([1, 2], key=x), "map": lambda x: list(map(x, [1])),
    "reduce with": lambda x: functools.reduce(x, [1, 2]), "default": lambda x: json.dumps(Plain(), default=x),
    "class": lambda x: x.__class__, "annotations": lambda x: x.__annotations__, "origin": typing.get_origin,
    "arguments": typing.get_args, "free": _delete,
}  # fmt: skip


def candidates() -> Iterator[tuple[str, Any]]:
    """Everything public that can be called, or has items."""
    for module in MODULES:
        for name in sorted(vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or name in NOT_CALLED or isinstance(value, types.ModuleType):
                continue
            if callable(value) or hasattr(value, "__getitem__"):
                yield f"{module.__name__}.{name}", value


def tower(function: Any, pattern: Callable[[Any, Any], Any], seed: Callable[[], Any], depth: int) -> Any:
    value = seed()
    for _ in range(depth):
        value = pattern(function, value)
    return value


def grows(function: Any, pattern: Callable[[Any, Any], Any], seed: Callable[[], Any]) -> bool:
    """Whether the function makes towers: each floor is another object, and none of them is much larger."""
    floors: list[Any] = [seed()]
    for _ in range(20):
        floors.append(pattern(function, floors[-1]))
        if isinstance(floors[-1], (str, bytes, int, float, complex)) or floors[-1] is floors[-2]:
            return False
    return len({id(floor) for floor in floors}) == len(floors)


def search() -> dict[str, tuple[Any, Callable[[Any, Any], Any], Callable[[], Any]]]:
    """The towers: of each function and pattern the first seed that it grows from."""
    found = {}
    for name, function in candidates():
        for text, pattern in PATTERNS.items():
            for seed in SEEDS:
                try:
                    if grows(function, pattern, seed):
                        found[f"{name} {text}".replace(" ", "~")] = function, pattern, seed
                        break
                except BaseException:  # whatever it is
                    continue
    return found


TOWERS = search()


def ask_all(name: str, depth: int, only: str = "") -> dict[str, int]:
    """How the operations on a tower, or one of them, ended: outcome → how often."""
    outcomes: collections.Counter[str] = collections.Counter()
    for operation in [OPERATIONS[only]] if only else OPERATIONS.values():
        try:
            operation(tower(*TOWERS[name], depth))
            outcomes["done"] += 1
        except BaseException as error:  # whatever it is, it must be one of Python's
            outcomes[type(error).__name__] += 1
    return dict(outcomes)


class Deep(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        name, depth, only = ((pwasm.get_http_request_header("x-tower") or "") + "??").split("?")[:3]
        body = json.dumps(ask_all(name, int(depth), only) if name else [list(TOWERS), list(OPERATIONS)])
        pwasm.send_http_response(200, body=body.encode())
        return Action.PAUSE


pwasm.set_time_budget(20_000)
pwasm.set_http_context(Deep)
