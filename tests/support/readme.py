"""The commands and outputs in a filter's README, and the part of curl that READMEs use."""

from __future__ import annotations

import http.client
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ")
_PROMPT = "$ "


@dataclass
class Command:
    """A command with the lines that it prints; `…` stands for anything."""

    words: list[str]
    output: list[str] = field(default_factory=list)


@dataclass
class Readme:
    """`run` is the command that starts the filter, `log` are lines it prints later, in any order."""

    run: Command
    commands: list[Command]
    log: list[str]


def read(file: Path) -> Readme:
    """The blocks of a README: those marked `console` hold commands, those without a mark the filter's log."""
    blocks = _BLOCK.findall(file.read_text(encoding="utf-8"))
    commands = [command for kind, text in blocks if kind == "console" for command in _commands(text)]
    log = [_TIME.sub("", line) for kind, text in blocks if not kind for line in text.splitlines()]
    return Readme(commands[0], commands[1:], log)


def _commands(text: str) -> Iterator[Command]:
    command = Command([])
    for line in text.splitlines():
        if line.startswith(_PROMPT):
            if command.words:
                yield command
            command = Command(shlex.split(line.removeprefix(_PROMPT)))
        else:
            command.output.append(line)
    yield command


def matches(said: str, printed: str) -> bool:
    """Whether a line matches the README."""
    return re.fullmatch(re.escape(said).replace("…", ".*"), _TIME.sub("", printed)) is not None


def curl(words: list[str], ports: Mapping[int, int]) -> list[str]:
    """What `curl` prints, with each port of its URL replaced by the one in `ports`."""
    assert words[0] == "curl", words
    method, url, data, shows_headers, headers = "", "", None, False, [("user-agent", "curl"), ("accept", "*/*")]
    rest = iter(words[1:])
    for word in rest:
        if word == "-i":
            shows_headers = True
        elif word == "-X":
            method = next(rest)
        elif word == "-d":
            data = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(":")
            headers.append((name, value.strip()))
        else:
            assert word.startswith("http://127.0.0.1:"), f"teach readme.py the option {word} of curl"
            url = word
    if data is not None:
        headers.append(("content-length", str(len(data))))
        if "content-type" not in {name.lower() for name, _ in headers}:
            headers.append(("content-type", "application/x-www-form-urlencoded"))
    address = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", ports[address.port or 80], timeout=30)
    path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
    connection.putrequest(method or ("GET" if data is None else "POST"), path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders((data or "").encode())
    response = connection.getresponse()
    body = response.read().decode().splitlines()
    connection.close()
    if not shows_headers:
        return body
    head = [f"HTTP/1.1 {response.status} {response.reason}"]
    return [*head, *(f"{name}: {value}" for name, value in response.getheaders()), "", *body]
