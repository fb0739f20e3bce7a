"""Headers callbacks that return PAUSE in a filter that never resumes: found by reading its sources.

Authors write this to change headers after seeing the body. But Envoy calls no body callback while the headers are
paused, so the request hangs, with nothing in the log. Only what is certain to hang is reported: nothing anywhere in the
filter or its dependencies resumes a stream, awaits, makes a callout or has a timer, and the PAUSE does not follow an
answer of the filter's own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .sources import parse

_CALLBACKS = {
    # headers callback: (body callback, setting, what hangs)
    "on_http_request_headers": ("on_http_request_body", "holds_request_headers", "the request"),
    "on_http_response_headers": ("on_http_response_body", "holds_response_headers", "the response"),
}
_RESUMES = frozenset(
    {
        "resume_http_request", "resume_http_response", "dispatch_http_call", "dispatch_grpc_call", "open_grpc_stream",
        "set_tick_period_milliseconds", "set_tick_period_milli_seconds", "on_tick", "on_queue_ready",
        "on_foreign_function",
    }
)  # fmt: skip
"""What resumes a stream, and what has later callbacks that might answer or close it."""
_ENDS = frozenset({"send_http_response", "close_http_request", "close_http_response"})
"""What ends a stream, so that its PAUSE needs no resume."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def never_resumed(sources: Mapping[str, str], own: Sequence[str]) -> tuple[str, ...]:
    """Warnings about the filter's `own` files; `sources` (path → text) has its dependencies' too."""
    if not any("PAUSE" in sources.get(path, "") for path in own):
        return ()
    trees = {path: parse(text) for path, text in sources.items()}
    if any(tree is None or _may_resume(tree) for tree in trees.values()):
        return ()
    mine = {path: tree for path in own if (tree := trees.get(path)) is not None}
    ending = _ending(mine.values())
    classes = _classes(mine)
    found = []
    for path, tree in mine.items():
        for cls in _classes({path: tree}).values():
            found += [f"{path}:{line}: {text}" for line, text in _hanging(cls, classes, ending)]
    return tuple(found)


def first_awaited_body(sources: Mapping[str, str], own: Sequence[str]) -> str:
    """The first body callback that may wait, in the filter's `own` files: "path:line: Class.method", or ""."""
    trees = {path: tree for path in own if path in sources and (tree := parse(sources[path])) is not None}
    bodies = {body for body, _, _ in _CALLBACKS.values()}
    for path, tree in trees.items():
        for cls in _classes({path: tree}).values():
            for item in cls.body:
                if isinstance(item, ast.AsyncFunctionDef) and item.name in bodies:
                    return f"{path}:{item.lineno}: {cls.name}.{item.name}"
    return ""


def _may_resume(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.AsyncFunctionDef) or not _RESUMES.isdisjoint(_names(node)) for node in ast.walk(tree)
    )


def _names(node: ast.AST) -> Iterator[str]:
    """The names that a node mentions itself."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value  # getattr(pwasm, "resume_http_request")


def _ending(trees: Iterable[ast.Module]) -> frozenset[str]:
    """Names of functions that end a stream, themselves or through another of the filter's functions."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, _Function)]
    mentions = [(one.name, {name for node in ast.walk(one) for name in _names(node)}) for one in functions]
    found = set(_ENDS)
    while more := {name for name, mentioned in mentions if not found.isdisjoint(mentioned)} - found:
        found |= more
    return frozenset(found)


def _classes(trees: Mapping[str, ast.Module]) -> dict[str, ast.ClassDef]:
    return {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _hanging(
    cls: ast.ClassDef, classes: Mapping[str, ast.ClassDef], ending: frozenset[str]
) -> Iterator[tuple[int, str]]:
    """Line and text for each headers callback of `cls` that pauses for a body callback of its own, or inherited."""
    methods = _methods(cls, classes)
    for item in cls.body:
        if isinstance(item, ast.FunctionDef) and item.name in _CALLBACKS:
            body, setting, what = _CALLBACKS[item.name]
            line = _pause(item.body, ending)
            if body in methods and line:
                advice = f"to change headers after seeing the body, set {setting} = True and return CONTINUE"
                yield line, f"{item.name} returns PAUSE and nothing resumes {what}: {advice}"


def _methods(cls: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """The methods of a class and of its bases in the filter."""
    found: set[str] = set()
    pending, seen = [cls], {cls.name}
    while pending:
        one = pending.pop()
        found |= {item.name for item in one.body if isinstance(item, _Function)}
        bases = {name for base in one.bases for node in ast.walk(base) for name in _names(node)} - seen
        seen |= bases
        pending += [classes[name] for name in bases if name in classes]
    return found


def _pause(body: Sequence[ast.stmt], ending: frozenset[str]) -> int:
    """The line of the first PAUSE in a block before which nothing ends the stream; 0 if there is none."""
    for statement in body:
        blocks = list(_blocks(statement))
        line = next((found for block in blocks if (found := _pause(block, ending))), 0)
        if not blocks:
            if any(_mentions(statement, name) for name in ending):
                return 0  # what follows has ended it
            line = _mentions(statement, "PAUSE")
        if line:
            return line
    return 0


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of a compound statement; none for a simple one."""
    for holder in (statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(holder, field, None)
            if isinstance(block, list) and block:
                yield block


def _mentions(node: ast.AST, name: str) -> int:
    """The line where a node, or one inside it, mentions `name`; 0 if it does not."""
    return next((getattr(one, "lineno", 0) for one in ast.walk(node) if name in _names(one)), 0)
