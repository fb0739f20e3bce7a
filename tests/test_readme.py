"""The examples of README and docs are code that runs; their commands, files and targets exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import pwasm
from pwasm.testing import ExtAuthz, Headers, HostEmulator, LuaBody
from pwasm.testing.worlds.filters import import_filter
from pwasm_compiler.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
PYTHON = {name: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for name, text in TEXTS.items()}
EXAMPLES = {"README": 2, "bodies": 1, "writing-filters": 3, "configuration": 1, "testing": 3, "tutorial": 1}
"""How many examples in Python each page has: the tests below run them, tests/envoy/test_tutorial.py the tutorial's."""


def test_no_example_is_left_out() -> None:
    assert {name: len(blocks) for name, blocks in PYTHON.items() if blocks} == EXAMPLES


def test_the_readme_is_a_landing_page() -> None:
    assert len(TEXTS["README"].splitlines()) <= 200
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in TEXTS["README"], page.name


def bench_table(name: str, block: str) -> list[list[str]]:
    """The rows of the first table that `make bench` has put into a page, the head among them."""
    (found,) = re.findall(rf"^<!-- make bench: {block} -->\n(?:[^|\n].*\n|\n)*((?:\|.*\n)+)", TEXTS[name], re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return [rows[0], *rows[2:]]


def test_the_figures_of_the_readme_are_those_of_the_benchmark() -> None:
    heads, *rows = bench_table("performance", "all")
    measured = {row[0]: dict(zip(heads, row, strict=True)) for row in rows}
    heads, *rows = bench_table("README", "figures")
    assert heads[:3] == ["", "**pwasm**", "Go, official SDK"]
    for row in rows:
        assert {head: measured[row[0]][head] for head in heads} == dict(zip(heads, row, strict=True))


@pytest.mark.programs
def test_the_first_filter_passes_the_readmes_own_test(tmp_path: Path) -> None:
    passes(tmp_path, PYTHON["README"][0], PYTHON["README"][1])


def passes(folder: Path, filter_text: str, test_text: str) -> None:
    """A filter passes its test in plain Python."""
    (folder / "filter.py").write_text(filter_text, encoding="utf-8")
    (folder / "test_filter.py").write_text(test_text, encoding="utf-8")
    (folder / "pytest.ini").touch()
    plugins = ["-p", "no:cacheprovider", "-p", "no:pwasm", "-p", "pwasm.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert re.search(r"^\d+ passed in", ran.stdout, re.MULTILINE), ran.stdout


def test_the_example_of_the_api() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON["writing-filters"][0], names)
    host = HostEmulator(names["Check"])
    assert host.request().status == 401
    waiting = host.request(headers=[("x-api-key", "k"), ("x-internal", "1")])
    assert waiting.paused == "request"
    host.answer(host.http_calls[0], [(":status", "200")])
    assert waiting.status == 200
    assert "x-internal" not in waiting.request_headers
    refused = host.request(headers=[("x-api-key", "k")])
    host.answer(host.http_calls[-1], [(":status", "404")])
    assert refused.status == 403


def test_the_example_of_an_access_logger() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON["writing-filters"][1], names)
    host = HostEmulator(names["Slow"], access_log=True)
    for duration in (1, 2_500_000_000):
        host.properties["request", "duration"] = duration.to_bytes(8, "little")
        assert host.request("GET", "/report").status == 200
    assert [text for _, text in host.logs] == ["/report took 2.5 s"]


def test_the_example_of_waiting() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON["writing-filters"][2], names)
    host = HostEmulator(names["ApiKey"])
    for answer, status in ((200, 200), (404, 401)):
        stream = host.request()
        host.answer(host.http_calls[-1], status=answer)
        assert stream.status == status
    stream = host.request()
    host.time_out(host.http_calls[-1])
    assert stream.status == 503


def test_the_example_of_configuration() -> None:
    """The classes, and what the log says of a configuration that does not fit."""
    names: dict[str, Any] = {}
    exec(compile(PYTHON["configuration"][0], "configuration.md", "exec", dont_inherit=True), names)
    route = {"prefix": "/", "cluster": "a"}
    good = json.dumps({"routes": [route]})
    assert HostEmulator(names["Plugin"], names["Router"], plugin_configuration=good).request().status == 200
    bad = json.dumps({"routes": [route] * 3 + [route | {"weight": "1"}], "debugg": True})
    host = HostEmulator(names["Plugin"], names["Router"], plugin_configuration=bad)
    assert not host.started
    (shown,) = re.findall(r"```\n(the plugin's configuration is refused\n.*?)\n```", TEXTS["configuration"], re.DOTALL)
    assert [text for _, text in host.logs] == [shown]


def test_the_example_of_the_emulator() -> None:
    class MyFilter(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> pwasm.Action:
            pwasm.set_tick_period_milliseconds(100)
            if pwasm.get_http_request_header(":path") != "/":
                return pwasm.Action.CONTINUE
            call = [(":method", "GET"), (":path", "/"), (":authority", "other")]
            pwasm.dispatch_http_call("other", call, callback=lambda *_: pwasm.resume_http_request())
            return pwasm.Action.PAUSE

    assert PYTHON["testing"][0].startswith("host = HostEmulator(MyFilter")
    names: dict[str, Any] = {"HostEmulator": HostEmulator, "MyFilter": MyFilter, "Headers": Headers}
    pairs = [(":method", "GET"), (":path", "/a"), (":authority", "b")]
    exec(PYTHON["testing"][0].replace("[...]", repr(pairs)), names)
    assert names["second"].started


def test_the_example_of_neighbours_in_the_emulator() -> None:
    class MyFilter(pwasm.HttpContext):
        pass

    doubles = {"ExtAuthz": ExtAuthz, "LuaBody": LuaBody}
    names: dict[str, Any] = {"HostEmulator": HostEmulator, "MyFilter": MyFilter, **doubles}
    exec(PYTHON["testing"][1], names)
    assert names["stream"].status == 403


CHECK = """import pwasm


class Check(pwasm.HttpContext):
    buffer_request_body = True

    def on_http_request_body(self, body_size, end_of_stream):
        if b"evil" in self.request.body:
            pwasm.send_http_response(403)


pwasm.set_http_context(Check)
"""


@pytest.mark.programs
def test_the_example_of_neighbours_in_the_worlds(tmp_path: Path) -> None:
    imports = "import pytest\nfrom pwasm.testing import Answer, ExtAuthz, Pause\n\n"
    passes(tmp_path, CHECK, imports + PYTHON["testing"][2])


def test_the_example_of_headers_decided_by_the_body() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON["bodies"][0], names)
    host = HostEmulator(names["ModelRouter"], hold_headers=True, after=[ExtAuthz("authz")])
    length = ("content-length", "17")
    stream = host.begin("POST", "/", headers=[length])
    stream.send_request_body(b'{"model":')
    assert host.neighbour_calls == []  # no later filter has the request
    stream.send_request_body(b'"large"}', end_of_stream=True)
    host.neighbour_calls[0].answer(200)
    assert (stream.request_headers["x-pool"], stream.request_body) == ("gpu", b'{"model":"large"}')
    assert ("content-length", "17") in list(stream.request_headers)
    for refused in (b"", b"[]", b'{"model": "huge"}', b'{"model": []}'):
        assert host.request("POST", "/", body=refused or b"{").status == 400
    unheld = HostEmulator(names["ModelRouter"])
    assert not unheld.started
    assert "with PWASM_HOLD_HEADERS=1" in unheld.logs[0][1]


def command_lines() -> list[str]:
    """Each `pwasm` command of the README, the docs and the filters' READMEs, without what follows in the shell."""
    files = [*PAGES, ROOT / "filters" / "README.md", *sorted(ROOT.glob("filters/*/README.md"))]
    blocks = [block for file in files for block in re.findall(r"```console\n(.*?)```", file.read_text(), re.DOTALL)]
    text = "\n".join(blocks).replace("\\\n", " ")
    return sorted(set(re.findall(r"^\$ (?:.*\| )?(pwasm .*?) *(?:#.*|[>&].*)?$", text, re.MULTILINE)))


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_understood(line: str) -> None:
    """No unknown option, no wrong number of arguments; nothing is run."""
    _, name, *words = shlex.split(line)
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None, line
    made = command.make_context(name, words, parent=context)
    known = command.get_help(made)
    assert [word for word in words if word.startswith("--") and word not in known] == []  # pytest gets what is unknown


def test_every_command_of_the_table_exists() -> None:
    named = set(re.findall(r"^\| `pwasm (\w+)", TEXTS["commands"], re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:\$ |`)make ([a-z-]+)", "\n".join(TEXTS.values())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


MISTAKES = """import pwasm


class Block(pwasm.HttpContext):
    def on_http_request_header(self, num_headers, end_of_stream):
        pwasm.send_http_response(403)

    buffer_requst_body = True
    def on_http_request_body(self, body_size): ...


pwasm.set_http_context(Block)
"""


def test_the_example_of_mistakes_in_names(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(MISTAKES)
    (shown,) = re.findall(r"```\n(filter\.py:5: .*?)\n```", TEXTS["writing-filters"], re.DOTALL)
    with pytest.raises(pwasm.RegistrationError) as caught:
        import_filter(tmp_path)
    assert caught.value.what.replace(f"{tmp_path}/", "") == shown
