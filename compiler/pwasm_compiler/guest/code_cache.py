"""Cache merged code: it is the same for every filter that exports the same callbacks; only data differs.

The key is a digest of everything the merge reads except the values of globals: the code-bearing sections of every
module, the wiring of the component, the table, the names of the exports, the cuts, and this linker's own sources.
Which globals affect the code is only known afterwards, so an entry lists them with their values, and is used only if
they match.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import marshal
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import component, cpython314, cpython314_calls, link, wasm
from ..cache import Cache
from ..component.graph import Item
from ..link.layout import Layout
from ..link.merge import Code, merge
from ..link.passes.loops import called_by_interruptions, find_interruptions
from ..link.passes.reachable import reachable
from ..link.passes.stack import find_frames
from ..link.passes.trim import Cut, trim
from ..link.resolve import Target
from ..wasm.module import Kind, SectionSpan

_KIND = "code"


def cached_merge(
    layout: Layout, exports: Mapping[str, Target], cache: Cache, cuts: Mapping[Item, Cut] | None = None
) -> Code:
    """The merged code of `layout`, trimmed by `cuts` if there are any; from the cache if present."""
    key = _key(layout, exports, cuts)
    code = _read(cache, key, layout)
    if code is not None:
        return code
    with cache.alone(_KIND):
        code = _read(cache, key, layout)
        if code is None:
            ways_in = [*exports.values(), *called_by_interruptions(layout)]
            kept = reachable(layout, ways_in) if cuts is None else trim(layout, [*exports.values()], cuts)
            code = merge(layout, kept, exports, find_frames(layout, kept), find_interruptions(layout, kept))
            _write(cache, key, code)
        return code


def _same_values(code: Code, layout: Layout) -> bool:
    return all(layout.values.get(Item(instance, Kind.GLOBAL, index)) == value for instance, index, value in code.values)


def _key(layout: Layout, exports: Mapping[str, Target], cuts: Mapping[Item, Cut] | None) -> str:
    digest = hashlib.sha256(linker_version())
    for span in _spans(layout):
        digest.update(f"{span.name} {span.size}\n".encode())
        digest.update(layout.code[span.start : span.start + span.size])
    for slot, target in sorted(layout.slots.items()):
        place = (target.instance, target.index) if isinstance(target, Item) else target
        digest.update(f"{slot} {place}\n".encode())
    digest.update("\n".join(sorted(exports)).encode())
    if cuts is not None:
        places = sorted(((item.instance, item.index), dataclasses.astuple(cut)) for item, cut in cuts.items())
        digest.update(repr(places).encode())
    return digest.hexdigest()


def _spans(layout: Layout) -> Iterator[SectionSpan]:
    graph = layout.plan.graph
    yield from graph.wiring
    for instance in graph.instances:
        yield from (span for span in instance.module.sections if span.name not in ("data", "global"))


@functools.cache
def linker_version() -> bytes:
    """Digest of the sources that determine the merged code."""
    digest = hashlib.sha256()
    for room in (wasm, component, link):
        for source in sorted(Path(str(room.__file__)).parent.rglob("*.py")):
            digest.update(source.read_bytes())
    for known in (cpython314, cpython314_calls):
        digest.update(Path(str(known.__file__)).read_bytes())
    return digest.digest()


def _read(cache: Cache, key: str, layout: Layout) -> Code | None:
    stored = cache.read(_KIND, key)
    if stored is None:
        return None
    head, tail, names, values, *ranges = marshal.loads(stored)
    dead_data, docs = (tuple(map(tuple, found)) for found in ranges)
    code = Code(head, tail, tuple(names), tuple(map(tuple, values)), dead_data, docs)
    return code if _same_values(code, layout) else None


def _write(cache: Cache, key: str, code: Code) -> None:
    cache.write(_KIND, key, marshal.dumps((code.head, code.tail, code.names, code.values, code.dead_data, code.docs)))
