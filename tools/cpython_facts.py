"""Runs in the build's guest: what the interpreter reports about itself, and objects whose memory `check_cpython` knows.
They are kept alive by this module, so their addresses stay valid."""

from __future__ import annotations

import _ast
import _imp
import _random
import sys
import weakref
from typing import Any

import _pwasm_shim  # type: ignore[import-not-found]


class Plain:
    """Instances have inline values."""


class Slotted:
    """Instances do not, though weak references may refer to them."""

    __slots__ = ("__weakref__", "value")


FIRST, SECOND = object(), object()


def fresh() -> Any:
    """An instance with two attributes."""
    made: Any = Plain()
    made.first, made.second = FIRST, SECOND
    return made


objects = {name: fresh() for name in ("plain", "another", "with_dict", "referred_to", "grown")}
objects["grown"].third = None
dictionary = vars(objects["with_dict"])
reference = weakref.ref(objects["referred_to"])

# The version of the requested events is in the upper bytes of the evaluation loop's word.
monitoring: Any = sys.monitoring  # type: ignore[attr-defined]  # new in Python 3.12; the guest has 3.14
monitoring.use_tool_id(0, "facts")
monitoring.set_events(0, monitoring.events.RAISE)
thread_state = _pwasm_shim.set_time_budget(10**18, Exception, "")

module_code, function_code = compile("pass", "", "exec"), fresh.__code__
facts = {
    "release": ".".join(map(str, sys.version_info[:3])),
    "cache_tag": sys.implementation.cache_tag,
    "extension_suffixes": _imp.extension_suffixes(),
    "built_in": sys.builtin_module_names,
    "imported": [*sys.modules],
    "only_ast": _ast.PyCF_ONLY_AST,
    "code_flags": (module_code.co_flags, function_code.co_flags),
    "types": {kind.__name__: (id(kind), kind.__flags__) for kind in (int, Plain, Slotted)},
    "objects": {name: id(value) for name, value in objects.items()},
    "method": id(_random.Random.getrandbits),
    "addresses": {
        "None": id(None),
        "thread_state": thread_state,
        "Plain": id(Plain),
        "first": id(FIRST),
        "second": id(SECOND),
        "dictionary": id(dictionary),
        "reference": id(reference),
    },
}
_pwasm_shim.set_build_record(repr(facts).encode())
