"""Runs a piece of Python for each path and responds with its repr: what works in a VM, and how the rest fails."""

import decimal
import functools
import hashlib
import hmac
import importlib
import json
import os
import pkgutil
import random
import re
import secrets
import sys
import time
import uuid
import warnings
from datetime import datetime
from urllib.parse import urlsplit

import helpers

import pwasm
from pwasm import Action, HttpContext

STARTED = time.time()
UNSEEDED, SEEDED = random.Random(), random.Random(42)


def chained() -> str:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError:
        import traceback

        return traceback.format_exc()


class RaisesWhenDropped:
    def __del__(self) -> None:
        raise RuntimeError("in __del__")


def drop() -> str:
    RaisesWhenDropped()
    return "dropped"


def printed() -> str:
    print("one line")
    print("two\nlines")
    print("unfinished", end="")
    print("to stderr", file=sys.stderr)
    return "printed"


def codecs() -> bytes:
    return "größe".encode("cp1252") + "größe.example".encode("idna")


def sleepy() -> None:
    time.sleep(1)


def imports_later() -> str:
    import colorsys

    return repr(colorsys.rgb_to_hsv(1, 0, 0))


MISSING = "module_that_does_not_exist"


def imports_missing() -> None:
    importlib.import_module(MISSING)  # a build refuses the statement


def socket() -> None:
    import socket as module

    module.create_connection(("127.0.0.1", 80))


def thread() -> None:
    import threading

    threading.Thread(target=print).start()


def process() -> None:
    import subprocess

    subprocess.run(["true"], check=True)


def recursion(depth: int = 0) -> int:
    return recursion(depth + 1)


class Recursive:
    def __repr__(self) -> str:
        return repr(self)

    def __getattr__(self, name: str) -> object:
        return getattr(self, name + "x")


def through_sorted(depth: int = 0) -> int:
    return len(sorted([depth], key=through_sorted))


def through_map(depth: int = 0) -> list[object]:
    return list(map(through_map, [depth + 1]))


def through_reduce(left: int = 0, right: int = 0) -> int:
    return functools.reduce(through_reduce, [left, right, 1])


def brackets(count: int) -> str:
    return repr(len(json.loads("[" * count + "]" * count)))


def standard_library() -> list[object]:
    digest = hmac.new(b"key", b"message", hashlib.sha256).hexdigest()[:8]
    found = re.findall(r"\d+", "a1b22")
    return [digest, found, str(decimal.Decimal(1) / 8), len(secrets.token_bytes(16))]


def packaged() -> bytes | None:
    return pkgutil.get_data("helpers", "greeting.txt")


WORK = {
    "/time": lambda: time.time() > STARTED,
    "/process_time": lambda: time.process_time() > 0,
    "/monotonic": lambda: time.monotonic() > 0,
    "/strptime": lambda: datetime.strptime("2026-11-23", "%Y-%m-%d").isoformat(),
    "/random": lambda: random.random(),
    "/unseeded": lambda: UNSEEDED.random(),
    "/seeded": lambda: (SEEDED.random(), SEEDED.seed.__module__),
    "/uuid": lambda: str(uuid.uuid4()),
    "/urandom": lambda: len(os.urandom(200_000)),
    "/environ": lambda: sorted(os.environ.items()),
    "/print": printed,
    "/data": helpers.greeting,
    "/get_data": packaged,
    "/codecs": codecs,
    "/urlsplit": lambda: urlsplit("//℀.example/x").netloc,
    "/later": imports_later,
    "/chained": chained,
    "/warn": lambda: warnings.warn("careful", stacklevel=1),
    "/del": drop,
    "/sleep0": lambda: time.sleep(0),
    "/sleep": sleepy,
    "/open": lambda: open("/etc/passwd"),
    "/write": lambda: open("new-file", "w"),
    "/listdir": lambda: os.listdir("/"),
    "/exists": lambda: os.path.exists("/0/filter.py"),
    "/socket": socket,
    "/thread": thread,
    "/process": process,
    "/missing": imports_missing,
    "/exit": lambda: sys.exit(4),
    "/_exit": lambda: os._exit(4),
    "/abort": os.abort,
    "/system": lambda: os.system("true"),
    "/kill": lambda: os.kill(os.getppid(), 9),
    "/not-everywhere": lambda: [name for name in ("fork", "getuid", "register_at_fork") if hasattr(os, name)],
    "/stdin": lambda: sys.stdin.read(),
    "/recursion": recursion,
    "/memory": lambda: bytearray(1 << 30),
    "/source": lambda: 1 // 0,
    "/sorted": through_sorted,
    "/map": through_map,
    "/reduce": through_reduce,
    "/repr": lambda: repr(Recursive()),
    "/getattr": lambda: Recursive().attribute,
    "/json999": lambda: brackets(999),
    "/json": lambda: brackets(3000),
    "/json_open": lambda: json.loads("[" * 100_000),
    "/json_object": lambda: json.loads('{"a":' * 50_000),
    "/json_quotes": lambda: json.loads('["' + '\\"' * 300_000 + "[" * 2_000),
    "/stdlib": standard_library,
    "/json_wide": lambda: len(json.loads("[" + "[]," * 20_000 + '"[[[[" ]')),
}


class Runner(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        path = pwasm.get_http_request_header(":path") or ""
        answer = repr(WORK[path]())
        pwasm.send_http_response(200, [("content-type", "text/plain")], answer.encode("utf-8", "backslashreplace"))
        return Action.PAUSE


pwasm.set_http_context(Runner)
