"""Suites in YAML: their syntax and their findings, against the filter and its built module."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing.suites.suite import SuiteError, load_suite
from tests.support.paths import PROJECTS

Run = Callable[..., subprocess.CompletedProcess[str]]

SUITE = """
env:
  log_level: INFO
  config_path: plugin.json
test:
- name: All_Phases
  num_chunks: 2
  request_headers:
    input:
      content: "POST /upper/1 HTTP/1.1\\nHost: a.example\\nX-A: 1\\nX-A: 2\\n"
    result:
      has_header: [{key: ":method", value: POST}, {key: X-A, value: "1, 2"}, {key: x-seen, value: suite}]
      no_header: [{key: x-gone}]
      headers: [{exact: ":authority: a.example"}, {regex: "x-gone: .*", invert: true}]
      log: [{regex: "request /upp.*"}, {exact: done upper, invert: true}]
  request_body:
  - input: {file: body.txt}
    result: {body: [{exact: ABCDE}, {regex: "[a-z]*", invert: "true"}]}
  response_headers:
    input: {content: "HTTP/1.1 404 Not Found\\nx-from: upstream\\n"}
    result: {has_header: [{key: ":status", value: "404"}, {key: x-world, value: suite}]}
  response_body:
  - input: {content: "one "}
    result: {body: [{exact: "one "}]}
  - input: {content: two}
    result: {body: [{regex: "t.o"}]}
  stream_destroy: {log: [{exact: done upper}]}
- name: Immediate
  request_headers:
    input: {header: [{key: ":path", value: /forbidden}]}
    result:
      immediate: {http_status: 403}
      has_header: [{key: x-why, value: because}]
      body: [{exact: "no"}]
"""

WRONG = """
test:
- name: everything
  request_headers:
    input: {header: [{key: ":path", value: /plain}]}
    result:
      has_header: [{key: x-seen, value: other}, {key: x-none, value: "1"}]
      no_header: [{key: x-seen}]
      headers: [{regex: "x-no.*: "}]
      log: [{exact: never logged}]
      immediate: {http_status: 401}
- name: upstream sees nothing
  request_headers:
    input: {header: [{key: ":path", value: /forbidden}]}
    result: {has_header: [{key: x-seen, value: nobody}]}
- name: too late
  request_headers:
    input: {header: [{key: ":path", value: /forbidden}]}
    result: {immediate: {http_status: 403}}
  response_headers:
    result: {has_header: [{key: x-world, value: nobody}]}
- name: body
  response_body: [{input: {content: abc}, result: {body: [{exact: abd}]}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "filter.py").write_text((PROJECTS / "worlds" / "filter.py").read_text())
    (tmp_path / "plugin.json").write_text('{"name": "suite"}')
    (tmp_path / "body.txt").write_text("abcde")
    return tmp_path


TIERS = ["python", pytest.param("wasm,envoy", marks=[pytest.mark.wasm, pytest.mark.envoy])]


@pytest.mark.parametrize("tiers", TIERS)
def test_a_suite_passes(folder: Path, run_pytest: Run, tiers: str) -> None:
    (folder / "cases.suite.yaml").write_text(SUITE)

    ran = run_pytest(folder, f"--pwasm-tier={tiers}", "-rA")

    count = 2 * len(tiers.split(","))
    assert f"{count} passed" in ran.stdout, ran.stdout
    for tier in tiers.split(","):
        assert f"PASSED cases.suite.yaml::All_Phases[{tier}]" in ran.stdout


def test_what_a_suite_finds(folder: Path, run_pytest: Run) -> None:
    (folder / "any.yaml").write_text(WRONG)

    said = run_pytest(folder, "any.yaml").stdout

    assert "4 failed" in said, said
    for line in (
        "request_headers: no immediate response: the request was sent to upstream",
        "request_headers: immediate: expected http_status 401, found 200",
        "request_headers: log: expected exactly 'never logged', found:\n    request /plain",
        "request_headers: upstream received nothing (the client: status 403, body b'no')",
        "response_headers: the stream was answered in an earlier phase, so this phase did not run",
        "response_body: body: expected exactly 'abd', found 'abc'",
        "log info: request /plain",  # what the host saw
    ):
        assert line in said, (line, said)


def test_headers_that_a_suite_finds(folder: Path, run_pytest: Run) -> None:
    (folder / "any.yaml").write_text(WRONG.replace("      immediate: {http_status: 401}\n", ""))

    said = run_pytest(folder, "any.yaml", "-k", "everything").stdout

    for line in (
        "header x-seen: expected 'other', found ['nobody']",
        "header x-none: expected '1', found none",
        "header x-seen: expected none, found ['nobody']",
        "headers: expected a match of 'x-no.*: ', found:\n    :method: GET",
    ):
        assert line in said, (line, said)


def test_only_the_emulator_has_properties_and_details(folder: Path, run_pytest: Run) -> None:
    (folder / "cases.suite.yaml").write_text("""
test:
- name: known
  properties: [{path: a.b, value: c}]
  request_headers:
    input: {header: [{key: ":path", value: /forbidden}]}
    result: {immediate: {http_status: 403, details: ""}}
""")

    ran = run_pytest(folder, "--pwasm-tier=python,envoy", "-rA")

    assert "PASSED cases.suite.yaml::known[python]" in ran.stdout
    assert "1 passed" in ran.stdout


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("test: [", "not valid YAML"),
        ("env: {}\nenv: {}\n", "line 2: duplicate key 'env'"),
        ("test: &a\n- *a\n", "a value that contains itself"),
        ("- a", "the suite: must be a mapping"),
        ("test: []", "test: there are no tests"),
        ("tests: []", "the suite: unknown: tests; known: env, test"),
        ("test: [{name: a}, {name: a}]", "duplicate test name 'a'"),
        ("test: [{}]", "test 0: name is missing"),
        ("test: [{name: a, request_header: {}}]", "test 'a': unknown: request_header; known: "),
        ("test: [{name: a, request_body: {}}]", "test 'a', request_body: must be a list"),
        ("test: [{name: a, request_headers: {input: {file: gone}}}]", "cannot read .*gone: No such file"),
        ("test: [{name: a, request_headers: {input: {content: x}}}]", "'x' is not a start line"),
        ("test: [{name: a, request_headers: {input: {content: x, file: y}}}]", "give one of header, content and file"),
        (
            "test: [{name: a, request_headers: {result: {log: [{}]}}}]",
            "a matcher must have exactly one of exact, regex and file",
        ),
        ("test: [{name: a, request_headers: {result: {log: [{regex: '['}]}}}]", "regex '\\[': unterminated"),
        ("test: [{name: a, response_headers: {result: {has_header: [{value: x}]}}}]", "a header must have a key"),
        ("test: [{name: a, request_body: [{input: {header: [{key: a}]}}]}]", "a body cannot have headers"),
        ("env: {log_level: LOUD}\ntest: [{name: a}]", "unknown log_level 'LOUD'; known: TRACE"),
    ],
)
def test_a_suite_that_is_none(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "x.suite.yaml").write_text(text)

    with pytest.raises(SuiteError, match=problem) as raised:
        load_suite(tmp_path / "x.suite.yaml")

    assert "x.suite.yaml: " in str(raised.value)
