"""Keep V8 from inlining, from inside a finished module: every function spends V8's budget before its own first call.

Envoy runs V8 without its baseline compiler. V8 then has no call counts, and inlines every direct call whose callee is
smaller than what is left of the function's budget, depth first. In CPython that is 22,000 calls, which doubles the time
to compile and the machine code, and makes a request 0 to 3 % faster (RATIONALE has the measurements).

So each function that calls gets a branch in front that is never taken, with one call in it:

    i32.const 0   if   call $spend   end

V8 looks at the branch before it folds it away, inlines `$spend` and what that calls, and has no budget left for the
rest. Nothing is ever executed: an engine that does not inline compiles a dead branch of eight bytes. There are two of
these functions. `$large` calls an empty function so often that V8's limit of inlined calls is reached; it costs the
least, and needs a budget in which all of it fits. `$small` calls empty functions of 2, 4, 8 … bytes, largest first: of
any budget below their sum that leaves two bytes at most, and no function is smaller.

The function index space only grows at its end and no instruction is looked at, so this works on the module of any
compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BinaryError
from ..wasm import encode
from ..wasm.instructions import skip_locals
from ..wasm.leb128 import encode_unsigned
from ..wasm.limits import BODY_BYTES, FUNCTIONS
from ..wasm.module import FuncType, Kind, Module, Section

MARKER = "pwasm.inlining"
"""Custom section of a module in which the budgets are spent; its content is the version of this pass."""
_VERSION = b"1"


@dataclass(frozen=True, slots=True)
class Rule:
    """What V8 without its baseline compiler may inline into a function of `size` bytes of code."""

    versions: str
    least_growth: int
    most_growth: int
    least: int
    calls: int
    """At most so many calls are inlined into one function."""

    def budgets(self, size: int) -> tuple[int, int]:
        """The smallest and the largest budget in bytes; which one depends on how many functions are small."""
        return max(self.least, self.least_growth * size), max(self.least, self.most_growth * size)


RULES = (
    # src/wasm/inlining-tree.h (NoLiftoffBudget, BudgetScaleFactor, kMaxInlinedCount), and should_inline in
    # src/wasm/turboshaft-graph-interface.cc: a call is inlined when its callee is smaller than the rest of the budget.
    # V8 11.3 and 12.4 inline nothing in this configuration (machine code of Node 20 and 22, measured).
    Rule("13.6 to 14.6", least_growth=2, most_growth=5, least=50, calls=60),
)

_I32_CONST_0, _IF, _CALL, _RETURN, _NOP, _END = b"\x41\x00", b"\x04\x40", b"\x10", b"\x0f", b"\x01", b"\x0b"
_CALLS = (_CALL, b"\x12")  # call, return_call
_NOTHING = FuncType(b"", b"")
_SIZES = tuple(1 << power for power in range(9, 0, -1))
_STALE = (".debug_", "external_debug_info", "metadata.code.", "precompiled_", "sourceMappingURL")
"""Custom sections, by the beginning of their names, that hold offsets into the code or are made of it."""
_RELOCATABLE = ("linking", "reloc.", "dylink")


@dataclass(frozen=True, slots=True)
class Spent:
    """A module in which every budget is spent."""

    wasm: bytes
    functions: int
    """How many functions got the branch."""
    names: tuple[str, ...]
    """Of the functions that were added, which stand behind all others."""
    dropped: tuple[str, ...]
    """Custom sections that would be wrong now."""


def is_spent(module: Module) -> bool:
    """Whether `module` has been through this pass."""
    return any(custom.name == MARKER for custom in module.customs)


def spend_budgets(module: Module) -> Spent:
    """`module` with every budget spent; without calls there is nothing to spend. The same module gives the same bytes.

    Raises:
        BinaryError: it is an object or a dynamic library, has been through this pass, or has too many functions.
    """
    _refuse(module)
    code = bytes(module.source)
    spender = _Spender.after(module)
    bodies, spent = [], 0
    for body in module.bodies:
        text = code[body.start : body.end]
        if any(call in text for call in _CALLS):  # or the same byte elsewhere: the branch is then needless, no more
            start = skip_locals(code, body) - body.start
            branch = spender.branch(len(text))
            if len(text) + len(branch) <= BODY_BYTES:  # otherwise V8 would refuse the function
                text = text[:start] + branch + text[start:]
                spent += 1
        bodies.append(text)
    marker = encode.custom_section(MARKER, _VERSION)
    if not spent:
        return Spent(code + marker, 0, (), ())
    bodies += spender.bodies
    if len(bodies) > FUNCTIONS:
        raise BinaryError(f"the module has {len(module.bodies):,} functions; V8 takes {FUNCTIONS:,}, with those added")
    types = module.types if _NOTHING in module.types else (*module.types, _NOTHING)
    functions = (*module.functions, *[types.index(_NOTHING)] * len(spender.bodies))
    changed = {
        Section.TYPE: encode.section(Section.TYPE, [encode.func_type(item) for item in types]),
        Section.FUNCTION: encode.section(Section.FUNCTION, [encode_unsigned(index) for index in functions]),
        Section.CODE: encode.section(Section.CODE, [encode_unsigned(len(text)) + text for text in bodies]),
    }
    parts, dropped = _sections(module, code, changed)
    return Spent(b"".join([encode.PREAMBLE, *parts, marker]), spent, spender.names, dropped)


def _refuse(module: Module) -> None:
    if is_spent(module):
        raise BinaryError("V8's inliner is switched off in this module already", hint="there is nothing left to do")
    for custom in module.customs:
        if custom.name.startswith(_RELOCATABLE):
            raise BinaryError(
                f"this is an object or a dynamic library, not a linked module: it has a section {custom.name!r}",
                hint="link it first",
            )


def _sections(module: Module, code: bytes, changed: dict[Section, bytes]) -> tuple[list[bytes], tuple[str, ...]]:
    """All sections in their order, changed or as they are; and the titles of those that are left out."""
    parts, dropped = [], []
    customs = iter(module.customs)
    for span in module.sections:
        contents = code[span.start : span.start + span.size]
        custom = next(customs) if span.name.startswith("custom ") else None
        if custom is None:
            section = Section[span.name.upper()]
            parts.append(changed.get(section) or encode.raw_section(section, contents))
        elif custom.name.startswith(_STALE):
            dropped.append(custom.name)
        else:
            parts.append(encode.raw_section(Section.CUSTOM, contents))
    return parts, tuple(dropped)


@dataclass(frozen=True, slots=True)
class _Spender:
    """The functions that are added, and which of them a function of a given size calls."""

    bodies: tuple[bytes, ...]
    names: tuple[str, ...]
    small: bytes  # the branches
    large: bytes
    large_costs: int  # the budget that all of `$large` needs

    @classmethod
    def after(cls, module: Module) -> _Spender:
        """For functions behind those of `module`."""
        first = len(module.imported(Kind.FUNC)) + len(module.functions)
        empties = [_empty(size) for size in _SIZES]
        calls = [_CALL + encode_unsigned(first + number) for number in range(len(empties) + 2)]
        most = max(rule.calls for rule in RULES)
        small = b"\0" + b"".join(calls[: len(empties)]) + _END
        large = b"\0" + calls[len(empties) - 1] * (most - 1) + _END
        return cls(
            (*empties, small, large),
            (*(f"no_inlining.{size}" for size in _SIZES), "no_inlining.small", "no_inlining.large"),
            _branch(calls[-2]),
            _branch(calls[-1]),
            len(large) + _SIZES[-1] * most + 1,
        )

    def branch(self, size: int) -> bytes:
        """What a function with `size` bytes of code begins with."""
        after = size + len(self.large)
        return self.large if all(rule.budgets(after)[0] > self.large_costs for rule in RULES) else self.small


def _branch(call: bytes) -> bytes:
    return _I32_CONST_0 + _IF + call + _END


def _empty(size: int) -> bytes:
    """The body of a function of exactly `size` bytes that returns at once."""
    return b"\0" + (_RETURN + _NOP * (size - 3) if size > 2 else b"") + _END
