"""Loops that never end, or not before the client has given up: in Python, and in CPython's own C."""

import itertools
import re
import time
from collections.abc import Callable

import pwasm
from pwasm import Action, HttpContext

BUDGET_MS = 300
EVIL = re.compile(r"(?:a+)+$")
LARGE = 10**12
SAME_HASH = [(2**31 - 1) * number for number in range(60_000)]


def forever() -> None:
    while True:
        pass


def except_everything() -> None:
    while True:
        try:
            forever()
        except BaseException:
            continue


def recursive(depth: int = 0) -> int:
    return 0 if depth == 60 else recursive(depth + 1) + recursive(depth + 1)


def twice(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value, value]
    return value


LOOPS: dict[str, Callable[[], object]] = {
    "forever": forever,
    "everything": except_everything,
    "recursive": recursive,
    "re_match": lambda: EVIL.match("a" * 40 + "b"),
    "re_search": lambda: re.search(r"(x+x+)+y", "x" * 40),
    "re_sub": lambda: re.sub(r"(a|aa)+$", "", "a" * 60 + "b"),
    "power": lambda: 7 ** (10**8),
    "multiplication": lambda: (3**6_000_000) * (5**4_000_000),
    "division": lambda: (3**4_000_000) // (5**1_500_000),
    "sum": lambda: sum(range(LARGE)),
    "long_range": lambda: max(range(1 << 70, 1 << 71)),
    "in_range": lambda: 0.5 in range(LARGE),
    "count": lambda: all(itertools.count(1)),
    "repeat": lambda: sum(itertools.repeat(0)),
    "cycle": lambda: all(itertools.cycle([1])),
    "product": lambda: all(itertools.product(range(100), repeat=9)),
    "permutations": lambda: all(itertools.permutations(range(60))),
    "combinations": lambda: all(itertools.combinations(range(60), 30)),
    "with_replacement": lambda: all(itertools.combinations_with_replacement(range(60), 30)),
    "call_iterator": lambda: sum(iter(lambda: 0, 1)),
    # what a megabyte of JSON can do: numbers with equal hashes, as all are modulo 2**31 - 1
    "keys_of_a_set": lambda: set(SAME_HASH),
    "keys_of_a_dict": lambda: dict.fromkeys(SAME_HASH),
    "keys_of_floats": lambda: set(map(float, SAME_HASH)),
    "keys_of_tuples": lambda: set(zip(SAME_HASH, strict=True)),
    "lists_of_the_same": lambda: twice(60) == twice(60),
}


class Loops(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        name = (pwasm.get_http_request_header(":path") or "/")[1:]
        if name == "names":
            pwasm.send_http_response(200, body=" ".join(LOOPS))
            return Action.PAUSE
        if name == "caught":
            begun = time.monotonic_ns()
            try:
                forever()
            except pwasm.TimeBudgetExceeded:
                pwasm.log_warn(f"after {(time.monotonic_ns() - begun) // 1_000_000} ms")
            return Action.CONTINUE
        if name in LOOPS:
            LOOPS[name]()
        return Action.CONTINUE


pwasm.set_time_budget(BUDGET_MS)
pwasm.set_http_context(Loops)
