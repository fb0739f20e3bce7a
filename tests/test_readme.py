"""The README's examples are code that runs."""

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
from pwasm.testing import Headers, HostEmulator
from pwasm.testing.worlds.filters import import_filter
from pwasm_compiler.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.programs
def test_the_first_filter_passes_the_readmes_own_test(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(PYTHON[0], encoding="utf-8")
    (tmp_path / "test_filter.py").write_text(PYTHON[1], encoding="utf-8")
    (tmp_path / "pytest.ini").touch()
    plugins = ["-p", "no:cacheprovider", "-p", "no:pwasm", "-p", "pwasm.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(r"^\d+ passed in", ran.stdout, re.MULTILINE), ran.stdout


def test_the_example_of_the_api() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON[2], names)
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


def test_the_example_of_waiting() -> None:
    names: dict[str, Any] = {}
    exec(PYTHON[3], names)
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
    exec(compile(PYTHON[4], "README.md", "exec", dont_inherit=True), names)
    route = {"prefix": "/", "cluster": "a"}
    good = json.dumps({"routes": [route]})
    assert HostEmulator(names["Plugin"], names["Router"], plugin_configuration=good).request().status == 200
    bad = json.dumps({"routes": [route] * 3 + [route | {"weight": "1"}], "debugg": True})
    host = HostEmulator(names["Plugin"], names["Router"], plugin_configuration=bad)
    assert not host.started
    (shown,) = re.findall(r"```\n(the plugin's configuration is refused\n.*?)\n```", README, re.DOTALL)
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

    assert PYTHON[5].startswith("host = HostEmulator(MyFilter")
    names: dict[str, Any] = {"HostEmulator": HostEmulator, "MyFilter": MyFilter, "Headers": Headers}
    pairs = [(":method", "GET"), (":path", "/a"), (":authority", "b")]
    exec(PYTHON[5].replace("[...]", repr(pairs)), names)
    assert names["second"].started


def command_lines() -> list[str]:
    """Each `pwasm` command of the README and of the filters' READMEs, without what follows in the shell."""
    files = [ROOT / "README.md", *sorted(ROOT.glob("filters/*/README.md"))]
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
    named = set(re.findall(r"^\| `pwasm (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS)


def test_every_file_the_readme_names_exists() -> None:
    for path in re.findall(r"`((?:filters|tests|sdk|compiler|runtime-shim)/[\w./-]+)`", README):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\$ make (\w+)", README):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target


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
    (shown,) = re.findall(r"```\n(filter\.py:5: .*?)\n```", README, re.DOTALL)
    with pytest.raises(pwasm.RegistrationError) as caught:
        import_filter(tmp_path)
    assert caught.value.what.replace(f"{tmp_path}/", "") == shown
