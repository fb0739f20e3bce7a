"""What `[tool.pwasm] keep` may name: what trimming would leave out otherwise (`link.passes.trim`)."""

from __future__ import annotations

COMPILER = "eval"
"""CPython's compiler: `eval`, `exec` and `compile` of text, and what is made of it, such as `namedtuple`."""

BUILT_IN = (
    "_abc", "_ast", "_asyncio", "_bisect", "_blake2", "_codecs", "_codecs_cn", "_codecs_hk", "_codecs_iso2022",
    "_codecs_jp", "_codecs_kr", "_codecs_tw", "_collections", "_contextvars", "_csv", "_datetime", "_decimal",
    "_elementtree", "_functools", "_heapq", "_hmac", "_imp", "_io", "_json", "_locale", "_lsprof", "_md5",
    "_multibytecodec", "_opcode", "_operator", "_pickle", "_queue", "_random", "_sha1", "_sha2", "_sha3", "_signal",
    "_socket", "_sqlite3", "_sre", "_stat", "_statistics", "_string", "_struct", "_suggestions", "_symtable",
    "_sysconfig", "_thread", "_tokenize", "_types", "_typing", "_weakref", "_zoneinfo", "array", "atexit", "binascii",
    "cmath", "errno", "faulthandler", "gc", "itertools", "math", "posix", "pyexpat", "select", "time", "unicodedata",
    "zlib",
)  # fmt: skip
"""The modules that are compiled into CPython, as componentize-py builds it."""


def kept_name(name: str) -> str | None:
    """`COMPILER` or the built-in module that `name` means, also without its first underscore; None if there is none."""
    if name in (COMPILER, *BUILT_IN):
        return name
    return f"_{name}" if f"_{name}" in BUILT_IN else None
