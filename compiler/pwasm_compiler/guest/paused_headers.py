"""Headers callbacks that return PAUSE in a filter that never resumes: found in the facts of its sources.

Authors write this to change headers after seeing the body. But Envoy calls no body callback while the headers are
paused, so the request hangs, with nothing in the log. Only what is certain to hang is reported: nothing anywhere in the
filter or its dependencies resumes a stream, awaits, makes a callout or has a timer, and the PAUSE does not follow an
answer of the filter's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from .facts import Class, Facts

_CALLBACKS = {
    # headers callback: (body callback, setting, what hangs)
    "on_http_request_headers": ("on_http_request_body", "holds_request_headers", "the request"),
    "on_http_response_headers": ("on_http_response_body", "holds_response_headers", "the response"),
}
_ENDS = frozenset({"send_http_response", "close_http_request", "close_http_response"})
"""What ends a stream, so that its PAUSE needs no resume."""


def never_resumed(program: Mapping[str, Facts], own: Collection[str]) -> Iterator[str]:
    """Warnings about the filter's `own` files; `program` (path → facts) has what it imports of dependencies, too."""
    mine = {path: program[path] for path in own if path in program}
    if any(one.resumes for one in program.values()) or not any(one.pauses for one in mine.values()):
        return
    ending = _ending(mine.values())
    classes = {one.name: one for facts in mine.values() for one in facts.classes}
    for path, facts in mine.items():
        for pause in facts.pauses:
            body, setting, what = _CALLBACKS[pause.method]
            line = _first_pause(iter(pause.shape), ending)
            if line and pause.cls in classes and body in _methods(classes[pause.cls], classes):
                advice = f"to change headers after seeing the body, set {setting} = True and return CONTINUE"
                yield f"{path}:{line}: {pause.method} returns PAUSE and nothing resumes {what}: {advice}"


def first_awaited_body(program: Mapping[str, Facts], own: Collection[str]) -> str:
    """The first body callback that may wait, in the filter's `own` files: "path:line: Class.method", or ""."""
    bodies = {body for body, _, _ in _CALLBACKS.values()}
    for path in [one for one in own if one in program]:
        for cls in program[path].classes:
            for name, line in cls.coroutines:
                if name in bodies:
                    return f"{path}:{line}: {cls.name}.{name}"
    return ""


def _ending(sources: Iterable[Facts]) -> frozenset[str]:
    """Names of functions that end a stream, themselves or through another of the filter's functions."""
    mentions = [(name.rpartition(".")[2], names) for one in sources for name, names in (*one.units.items(), *one.inner)]
    found = set(_ENDS)
    while more := {name for name, mentioned in mentions if name and not found.isdisjoint(mentioned)} - found:
        found |= more
    return frozenset(found)


def _methods(cls: Class, classes: Mapping[str, Class]) -> set[str]:
    """The methods of a class and of its bases in the filter."""
    found: set[str] = set()
    pending, seen = [cls], {cls.name}
    while pending:
        one = pending.pop()
        found.update(one.methods)
        bases = set(one.bases) - seen
        seen |= bases
        pending += [classes[name] for name in bases if name in classes]
    return found


def _first_pause(shape: Iterator[str], ending: frozenset[str]) -> int:
    """The line of the first PAUSE in a block before which nothing ends the stream; 0 if there is none.

    `shape` has the block's statements and its end, "]". A simple statement is "line:names", where the line is that of
    a PAUSE, or 0; a block of a compound statement is "[", its statements, and "]".
    """
    found, ended = 0, False
    for token in shape:
        if token == "]":
            break
        if token == "[":
            line, ends = _first_pause(shape, ending), False
        else:
            number, _, names = token.partition(":")
            line, ends = int(number), not ending.isdisjoint(names.split(","))
        ended = ended or (ends and not found)
        found = found or (0 if ended else line)
    return found
