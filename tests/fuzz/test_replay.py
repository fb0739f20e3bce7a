"""Every target on previous findings, on its seed inputs, on damaged seeds, and on a megabyte of hostile input."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .targets import REGRESSIONS, TARGETS

SECONDS = 5
"""Of processor time; a hang takes for ever, so a slow machine decides nothing."""
MIB = 1 << 20


def regressions() -> list[Any]:
    paths = sorted(REGRESSIONS.glob("*/*"))
    return [pytest.param(path.parent.name, path, id=f"{path.parent.name}-{path.name[:14]}") for path in paths]


@pytest.mark.parametrize(("name", "path"), regressions())
def test_regression(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


def test_every_regression_has_its_target() -> None:
    assert {path.name for path in REGRESSIONS.iterdir()} <= set(TARGETS)


@pytest.mark.programs
@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    """Or fuzzing would look at error messages only."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    accepted = 0
    for seed in seeds:
        try:
            target.run(seed)
            accepted += 1
        except target.errors:
            continue
    assert accepted


@pytest.mark.programs
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged(name: str, data: st.DataObject) -> None:
    """Bytes swapped, removed and duplicated."""
    damaged = bytearray(data.draw(st.sampled_from(TARGETS[name].seeds())))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        count = data.draw(st.integers(0, 20))
        damaged[at : at + count] = data.draw(st.one_of(st.binary(max_size=8), st.just(bytes(damaged[at:]))))
    TARGETS[name](bytes(damaged))


def bomb() -> bytes:
    """Nine lines of YAML that stand for a billion values."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(lines).encode()


def names(pattern: bytes, count: int, joint: bytes) -> bytes:
    return joint.join(pattern % number for number in range(count))


def sections(header: bytes, section: bytes) -> bytes:
    return header + section * ((MIB - 8) // len(section))


MODULE, COMPONENT = b"\0asm\1\0\0\0", b"\0asm\x0d\0\1\0"
YAML: dict[str, bytes] = {
    "bomb": bomb(),
    "brackets": b"[" * MIB,
    "dashes": b"- " * (MIB // 2),
    "anchors": b"&a " * (MIB // 3),
    "items": b"- a\n" * (MIB // 4),
    "documents": b"---\n" * (MIB // 4),
    "names": names(b"k%d: 1", 90_000, b"\n"),
    "digits": b"a: " + b"1" * (MIB - 3),
    "sexagesimal": b"a: 1" + b":1" * (MIB // 2 - 2),
    "itself": b"a: &a [*a]",
    "quotes": b"a: '" + b"x\n" * (MIB // 2 - 3) + b"'",
}
MALICE: dict[str, dict[str, bytes]] = {
    "module": {
        "custom sections": sections(MODULE, b"\0\2\1a"),
        "a count of 2**32 - 1": MODULE + b"\1\5\xff\xff\xff\xff\x0f",
        "a section of 4 GiB": MODULE + b"\x0b\xff\xff\xff\xff\x0f",
        "a gigabyte of data": MODULE + b"\x0b\x0b\1\0\x41\0\x0b\x80\x80\x80\x80\4\0",
        "an integer without end": MODULE + b"\1" + b"\x80" * (MIB - 9),
    },
    "instructions": {
        "blocks": b"\2\x40" * (MIB // 2 - 40) + b"\x0b",
        "calls": b"\x10\0" * (MIB // 2 - 40) + b"\x0b",
        "long integers": (b"\x20" + b"\xff" * 9 + b"\x7f") * (MIB // 12) + b"\x0b",
        "an integer without end": b"\x20" + b"\xff" * (MIB - 80),
        "a table of 2**32 - 1": b"\x0e\xff\xff\xff\xff\x0f" + bytes(MIB - 80),
        "returns": b"\x0f" * (MIB - 80) + b"\x0b",
    },
    "inspect": {"custom sections": sections(MODULE, b"\0\2\1a")},
    "component": {
        "10,000 components in each other": COMPONENT + (b"\4\xff\xff\x3f" + COMPONENT) * 10_000,
        "components": sections(COMPONENT, b"\4\x08" + COMPONENT),
        "modules": sections(COMPONENT, b"\1\x08" + MODULE),
        "a count of 2**32 - 1": COMPONENT + b"\2\5\xff\xff\xff\xff\x0f",
        "a module of 4 GiB": COMPONENT + b"\1\xff\xff\xff\xff\x0f",
    },
    "typed_config": {
        "names twice": b'{"name":"a",' + names(b'"%d":1', 45_000, b",") + b"," + names(b'"%d":1', 45_000, b",") + b"}",
        "numbers": b'{"name":"a","inner":{"values":[' + b"1," * (MIB // 2 - 30) + b"1]}}",
        "digits": b'{"name":' + b"1" * (MIB - 10) + b"}",
        "brackets": b"[" * MIB,
        "an open string": b'"' + b'\\"' * (MIB // 2 - 1),
        "a struct in a struct": b"\n\2\n\0" * (MIB // 4),
    },
    "pyproject": {
        "dots": b"a." * (MIB // 2 - 2) + b"b=1",
        "brackets": b"a=" + b"[" * (MIB - 2),
        "brackets that fit": b"a=" + b"[" * 200_000,
        "tables": b"a={" * 80_000,
        "digits": b"a=" + b"1" * 200_000,
        "names": names(b"a%d=1", 20_000, b"\n"),
        "a long key": b"[tool.pwasm]\n" + b"m" * 250_000 + b"=1",
    },
    "plugin_yaml": YAML,
    "envoy_yaml": YAML
    | {
        "clusters": b"static_resources: {clusters: [" + b"a," * (MIB // 2 - 40) + b"]}",
        "mappings": b"static_resources: {clusters: [" + b"{a: {b: 1}}," * 40_000 + b"]}",
    },
    "resource_yaml": YAML,
    "go_mod": {"words": b"require a " * (MIB // 10), "quotes": b'"' * MIB, "comments": b"//" * (MIB // 2)},
    "image": {
        "brackets": b"m" + b"[" * (MIB - 1),
        "digits": b"m" + b"1" * (MIB - 1),
        "layers": b'm{"layers":[' + b"{}," * (MIB // 3 - 9) + b"{}]}",
    },
    "registry": {
        "chunks": b"pHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (MIB // 6 - 9),
        "lines after the last chunk": b"pHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"a\r\n" * (MIB // 3 - 19),
        "interim responses": b"p" + b"HTTP/1.1 100 Continue\r\n\r\n" * (MIB // 26),
        "a line": b"pHTTP/1.1 200 " + b"a" * (MIB - 20),
        "headers": b"pHTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MIB // 6 - 4),
        "challenges": b"PHTTP/1.1 401 U\r\n" + (b"WWW-Authenticate: " + b'a="\\' * 10_000 + b"\r\n") * 20 + b"\r\n",
        "responses": b"p" + b"HTTP/1.1 429 a\r\n\r\n\n%%\n" * (MIB // 24),
        "a body of brackets": b"pHTTP/1.1 404 N\r\n\r\n" + b'{"errors":' * (MIB // 11),
    },
}
CASES = [pytest.param(name, data, id=f"{name}-{case}") for name in MALICE for case, data in MALICE[name].items()]


@pytest.fixture
def measured() -> Iterator[None]:
    """The block takes little time and little additional memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 512 << 10


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), CASES)
@pytest.mark.usefixtures("measured")
def test_a_megabyte_of_malice(name: str, data: bytes) -> None:
    assert len(data) <= MIB
    TARGETS[name](data)


def test_every_target_has_malice() -> None:
    assert set(MALICE) == set(TARGETS)


def test_the_limit_of_time_can_be_missed() -> None:
    """These tests look for an exception that is not a PwasmError."""
    target: Callable[..., Any] = type(TARGETS["module"])
    with pytest.raises(RecursionError):
        target(lambda data: (_ for _ in ()).throw(RecursionError()), list)(b"")
