"""Language-neutral tests: the YAML suites of Google's Service Extensions plugin tester, as data.

env:
  wasm_path: main.wasm                 optional, as all of env: config_path, log_level, test_path, time_secs
test:
- name: adds the header
  request_headers:                     also request_body (a list), response_headers, response_body (a list)
    input:
      header: [{key: ":path", value: "/one"}]        or content: (HTTP/1 text), or file:
    result:
      has_header: [{key: x-a, value: "1"}]           no_header: [{key: x-b}]
      headers: [{regex: "x-c: .*"}]                  matchers of "key: value"
      body: [{exact: "…"}]                           exact, regex (of the whole text) or file; invert: true
      immediate: {http_status: 403}                  also details, grpc_status
      log: [{regex: ".*added.*"}]
  plugin_init: {log: […]}              also stream_init, stream_destroy
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PHASES = ("request_headers", "request_body", "response_headers", "response_body")
LIFE = ("plugin_init", "stream_init", "stream_destroy")
_SUITE_KEYS = {"env", "test"}
_ENV_KEYS = {"wasm_path", "config_path", "log_level", "log_path", "test_path", "time_secs"}
_IGNORED_ENV_KEYS = {"num_additional_streams", "additional_stream_advance_rate"}
_TEST_KEYS = {"name", "benchmark", "num_chunks", "chunk_size", "properties", *PHASES, *LIFE}
_INPUT_KEYS = {"header", "content", "file"}
_RESULT_KEYS = {"has_header", "no_header", "headers", "body", "immediate", "log"}
_MATCHER_KEYS = {"exact", "regex", "file", "invert"}
_IMMEDIATE_KEYS = {"http_status", "grpc_status", "details"}
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")
_START = re.compile(r"HTTP/\d(?:\.\d)? (?P<status>\d{3})|(?P<method>\S+) (?P<path>\S+) HTTP/\d(?:\.\d)?")


class SuiteError(Exception):
    """A suite is invalid; the message says where."""


@dataclass(frozen=True)
class Matcher:
    """A condition on a text, negated by `invert`."""

    exact: str | None = None
    regex: str | None = None
    invert: bool = False

    def accepts(self, text: str) -> bool:
        """Whether the text matches, ignoring `invert`."""
        return re.fullmatch(self.pattern, text, re.DOTALL) is not None

    @property
    def pattern(self) -> str:
        """The condition as a regular expression."""
        return re.escape(self.exact) if self.exact is not None else str(self.regex)

    def __str__(self) -> str:
        text = f"exactly {self.exact!r}" if self.exact is not None else f"a match of {self.regex!r}"
        return f"anything but {text}" if self.invert else text


@dataclass(frozen=True)
class Result:
    """The expected results of a phase."""

    has_header: tuple[tuple[str, str], ...] = ()
    no_header: tuple[str, ...] = ()
    headers: tuple[Matcher, ...] = ()
    body: tuple[Matcher, ...] = ()
    immediate: Mapping[str, Any] | None = None
    log: tuple[Matcher, ...] = ()


@dataclass(frozen=True)
class Phase:
    """One invocation of the filter: its input (`headers` or `content`) and the expected result."""

    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""
    result: Result = Result()


@dataclass(frozen=True)
class Test:
    """One request and its response; `phases` by name, several for a body in pieces."""

    name: str
    phases: Mapping[str, tuple[Phase, ...]]
    life: Mapping[str, Result]
    properties: tuple[tuple[str, str], ...] = ()
    num_chunks: int = 0
    chunk_size: int = 0

    __test__ = False

    @property
    def own_host_only(self) -> bool:
        """Whether it uses settings that Envoy does not have, or results that Envoy does not report."""
        immediate = [phase.result.immediate or {} for phases in self.phases.values() for phase in phases]
        return bool(self.properties) or any("details" in said for said in immediate)

    def chunks(self, phase: str) -> list[bytes]:
        """The body of a phase, split as the test requests."""
        pieces = [invocation.content for invocation in self.phases.get(phase, ())]
        whole = b"".join(pieces)
        size = self.chunk_size or (self.num_chunks and -(-len(whole) // self.num_chunks))
        return [whole[at : at + size] for at in range(0, len(whole), size)] if size else pieces


@dataclass(frozen=True)
class Suite:
    """A file of tests."""

    path: Path
    wasm_path: Path | None
    configuration: bytes | None
    log_level: str
    time_seconds: float | None
    tests: tuple[Test, ...]


def load_suite(path: Path) -> Suite:
    """Read a suite.

    Raises:
        SuiteError: the file cannot be read, is not YAML, or contains unknown keys.
    """
    return _Reader(path).suite()


class _Reader:
    """Reads one file; `where` is the place in it, for messages."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.parent

    def suite(self) -> Suite:
        from pwasm_compiler.yaml_text import YamlError, load

        try:
            document = load(self._path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YamlError) as error:
            raise SuiteError(f"{self._path}: {error}") from error
        self._check(document, _SUITE_KEYS, "the suite")
        env = document.get("env") or {}
        self._check(env, _ENV_KEYS | _IGNORED_ENV_KEYS, "env")
        self._folder = self._path.parent / str(env.get("test_path", ""))
        level = str(env.get("log_level", "TRACE")).upper()
        if level not in _LEVELS:
            self._fail("env", f"unknown log_level {level!r}; known: {', '.join(_LEVELS)}")
        wasm = env.get("wasm_path")
        return Suite(
            self._path,
            None if wasm is None else self._path.parent / str(wasm),
            self._file(env["config_path"], "env") if "config_path" in env else None,
            level,
            float(env["time_secs"]) if "time_secs" in env else None,
            self._tests(document),
        )

    def _tests(self, document: Mapping[str, Any]) -> tuple[Test, ...]:
        tests = tuple(self._test(said, number) for number, said in enumerate(self._list(document, "test", "the suite")))
        names = [test.name for test in tests]
        if not tests or len(set(names)) < len(names):
            duplicate = next((name for name in names if names.count(name) > 1), "")
            self._fail("test", f"duplicate test name {duplicate!r}" if tests else "there are no tests")
        return tests

    def _test(self, said: Any, number: int) -> Test:
        where = f"test {said.get('name', number)!r}" if isinstance(said, Mapping) else f"test {number}"
        self._check(said, _TEST_KEYS, where)
        if "name" not in said:
            self._fail(where, "name is missing")
        phases = {}
        for phase in PHASES:
            if phase in said:
                several = self._list(said, phase, where) if phase.endswith("body") else [said[phase]]
                phases[phase] = tuple(self._phase(one, phase, f"{where}, {phase}") for one in several)
        return Test(
            str(said["name"]),
            phases,
            {life: self._result(said[life], f"{where}, {life}") for life in LIFE if life in said},
            tuple((str(one["path"]), str(one["value"])) for one in self._list(said, "properties", where)),
            int(said.get("num_chunks", 0)),
            int(said.get("chunk_size", 0)),
        )

    def _phase(self, said: Any, phase: str, where: str) -> Phase:
        self._check(said, {"input", "result"}, where)
        given = said.get("input") or {}
        self._check(given, _INPUT_KEYS, f"{where}, input")
        if len(given) > 1:
            self._fail(f"{where}, input", "give one of header, content and file")
        result = self._result(said.get("result") or {}, f"{where}, result")
        content = _bytes(given["content"]) if "content" in given else b""
        if "file" in given:
            content = self._file(given["file"], where)
        if phase.endswith("body"):
            if "header" in given:
                self._fail(f"{where}, input", "a body cannot have headers")
            return Phase(content=content, result=result)
        headers = self._headers(given, "header", where) or self._parse(content, where)
        return Phase(headers=headers, result=result)

    def _result(self, said: Any, where: str) -> Result:
        self._check(said, _RESULT_KEYS, where)
        immediate = said.get("immediate")
        if immediate is not None:
            self._check(immediate, _IMMEDIATE_KEYS, f"{where}, immediate")
        return Result(
            self._headers(said, "has_header", where),
            tuple(name for name, _ in self._headers(said, "no_header", where)),
            self._matchers(said, "headers", where),
            self._matchers(said, "body", where),
            immediate,
            self._matchers(said, "log", where),
        )

    def _matchers(self, said: Mapping[str, Any], key: str, where: str) -> tuple[Matcher, ...]:
        return tuple(self._matcher(one, f"{where}, {key}") for one in self._list(said, key, where))

    def _matcher(self, said: Any, where: str) -> Matcher:
        self._check(said, _MATCHER_KEYS, where)
        kinds = [key for key in ("exact", "regex", "file") if key in said]
        if len(kinds) != 1:
            self._fail(where, "a matcher must have exactly one of exact, regex and file")
        invert = str(said.get("invert", "")).lower() == "true"
        if "file" in said:
            return Matcher(self._file(said["file"], where).decode("utf-8", "surrogateescape"), None, invert)
        text = str(said[kinds[0]])
        if "regex" in said:
            try:
                re.compile(text)
            except re.error as error:
                self._fail(where, f"regex {text!r}: {error}")
        return Matcher(**{kinds[0]: text}, invert=invert)

    def _headers(self, said: Mapping[str, Any], key: str, where: str) -> tuple[tuple[str, str], ...]:
        found = []
        for one in self._list(said, key, where):
            self._check(one, {"key", "value"}, f"{where}, {key}")
            if "key" not in one:
                self._fail(f"{where}, {key}", "a header must have a key")
            found.append((str(one["key"]).lower(), str(one.get("value", ""))))
        return tuple(found)

    def _parse(self, content: bytes, where: str) -> tuple[tuple[str, str], ...]:
        """Headers written as HTTP/1 text, its start line as pseudo-headers."""
        lines = content.decode("utf-8", "surrogateescape").splitlines()
        if not lines:
            return ()
        start = _START.match(lines[0])
        if start is None:
            self._fail(where, f"{lines[0]!r} is not a start line such as GET / HTTP/1.1 or HTTP/1.1 200 OK")
        given = (start[name] for name in ("status", "method", "path"))
        pseudo = zip((":status", ":method", ":path"), given, strict=True)
        found = [(name, value) for name, value in pseudo if value]
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            found.append((":authority" if name.lower() == "host" else name.lower(), value.strip()))
        return tuple(found)

    def _file(self, name: Any, where: str) -> bytes:
        try:
            return (self._folder / str(name)).read_bytes()
        except OSError as error:
            self._fail(where, f"cannot read {self._folder / str(name)}: {error.strerror}")

    def _list(self, said: Mapping[str, Any], key: str, where: str) -> list[Any]:
        found = said.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self._fail(f"{where}, {key}", "must be a list")
        return found

    def _check(self, said: Any, known: set[str], where: str) -> None:
        if not isinstance(said, Mapping):
            self._fail(where, f"must be a mapping, not {said!r}")
        unknown = sorted(str(key) for key in said if key not in known)
        if unknown:
            self._fail(where, f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")

    def _fail(self, where: str, problem: str) -> NoReturn:
        raise SuiteError(f"{self._path}: {where}: {problem}")


def _bytes(content: Any) -> bytes:
    return content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogateescape")
