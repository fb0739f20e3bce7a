"""Warnings about values that are the same in every VM, and data that a build must not include."""

from __future__ import annotations

import getpass
import io
import math
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from pwasm_compiler.build.pipeline import build
from pwasm_compiler.build.stage import sdk_files
from pwasm_compiler.guest.base import load_base
from pwasm_compiler.project import load_project
from tests.support.fuel import counter

pytestmark = pytest.mark.wasm

HELPER = """\
import uuid
ID = uuid.uuid4()
"""
FILTER = """\
import datetime
import logging
import random
import secrets
import time
from helper import (
    ID,
)

import pwasm


def now():
    return time.time_ns()


STARTED = time.time()                           # clock
NOW = datetime.datetime.now()                   # clock
RNG = random.Random()
SYSTEM = random.SystemRandom()
SEEDED = random.Random(3)
FIRST = SEEDED.random()
SECRET = secrets.token_hex(8)                   # random
SALT = random.random()                          # random
OWN = RNG.random()                              # random
PAIR = (
    time.monotonic(),                           # clock
    random.shuffle([1, 2, 3]),                  # random
)
LOG = logging.getLogger("x")
HASHES = {str(n) for n in range(100)}


class Filter(pwasm.HttpContext):
    made = now()                                # clock

    def on_http_request_headers(self, num_headers, end_of_stream):
        self.when = time.time(), random.random(), secrets.token_hex(8)


pwasm.set_http_context(Filter)
"""


WAYS = """\
import datetime
import importlib
import random
import secrets
import time
import uuid
from random import random as draw

import pwasm


def helper():
    return now_of()


def now_of():
    return time.time()


for number in range(3):
    last = number
    if number == 2:
        stamp = time.time()                     # clock

TIMES = [time.monotonic() for _ in range(3)]    # clock
TEXTS = [
    name
    for name in "abc"
    if random.random() > 2                      # random
]
LATER = list(                                   # clock
    datetime.datetime.now() for _ in range(2)
)
X, Y = map(secrets.token_bytes, (8, 8))         # random
SECRET, RNG = secrets.token_hex(8), random.Random()     # random
OTHER, SALT = random.Random(), uuid.uuid4()     # random
KEYWORD = random.Random(x=3)
SEEDED = random.Random("a")
A = [SEEDED.random() for _ in range(5)], SEEDED.gauss(0, 1), SEEDED.shuffle([1, 2])
RNG.seed()
FRESH, ALSO = secrets.randbits(3), RNG.seed()   # random
RNG.seed(5)
FIXED = RNG.random(), RNG.randint(1, 5)
G = random.gauss(0, 1)                          # random
H = random.gauss(0, 1)                          # random
BOUND = random.Random().getrandbits
BITS = BOUND(5)                                 # random
D = draw()                                      # random
exec("INNER = time.time()")                     # clock
importlib.import_module("email.utils")
importlib.import_module("tempfile")
ANY = sorted([1, 2, 3], key=lambda _: helper())     # clock
random.seed(7)
for when in iter(time.time_ns, None):           # clock
    number += 1
    if number > 3:
        break
SAMPLE = random.sample([1, 2, 3], 2)            # random


class Own(random.Random):
    def __init__(self):
        self.salt = secrets.token_hex(4)
        super().__init__()


OWN = Own()                                     # random


class Generic[T]:
    made = time.time()                          # clock

    class Inner:
        when = helper()                         # clock


def make():
    class Local:
        at = time.time()

    return Local


LOCAL = make()                                  # clock
try: import statistics
except ImportError: pass
with_default = lambda at=time.time(): at        # clock


@(lambda cls: (time.time(), cls)[1])            # clock
class Filter(pwasm.HttpContext):
    pass


pwasm.set_http_context(Filter)
"""


def marked(source: str) -> list[tuple[str, str]]:
    """(place, kind) of the lines that a comment marks."""
    lines = enumerate(source.splitlines(), 1)
    return [(f"filter.py:{number}", line.rpartition("# ")[2]) for number, line in lines if "  # " in line]


def warned(warnings: Sequence[str]) -> list[tuple[str, str]]:
    return [(text.split()[0], "clock" if " reads a clock " in text else "random") for text in warnings]


def test_clocks_and_randomness_read_at_import_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text(FILTER)
    (tmp_path / "helper.py").write_text(HELPER)
    artifact = build(load_project(tmp_path), tmp_path / "main.wasm")
    assert warned(artifact.warnings) == [("helper.py:2", "random"), *marked(FILTER)]


def test_every_way_to_read_is_found_at_its_line(tmp_path: Path) -> None:
    """In loops, comprehensions, class bodies, through functions of Python and C, and of two things on one line."""
    (tmp_path / "filter.py").write_text(WAYS)
    assert warned(build(load_project(tmp_path), tmp_path / "main.wasm").warnings) == marked(WAYS)


ROUNDS = 20_000


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], int]:
    """`counted(source)`: the instructions of an import."""
    return counter(tmp_path_factory.mktemp("fuel"))


USUAL = "import random\nimport pwasm\npwasm.set_http_context(pwasm.HttpContext)\n"
NOT_WATCHED = "import random\nimport _pwasm_shim\n_pwasm_shim.watch_reads(None)\n_pwasm_shim.watch_draws()\n"


def test_code_that_reads_nothing_is_not_slowed_down(counted: Callable[[str], int]) -> None:
    """In instructions, of a loop of several lines at the top level."""
    loop = f"for number in range({ROUNDS}):\n    last = number\n    other = last\n"
    watched = counted(USUAL + loop) - counted(USUAL)
    alone = counted(NOT_WATCHED + USUAL + loop) - counted(NOT_WATCHED + USUAL)
    assert ROUNDS * 100 < watched < 1.1 * alone, "instructions"


@pytest.mark.parametrize("read", ["time.time()", "random.random()", "random.randint(1, 6)"])
def test_a_line_that_reads_again_and_again_is_found_once(read: str, counted: Callable[[str], int]) -> None:
    """Such a filter is warned about; its import takes longer, but not many times as long."""
    usual = f"{USUAL}import time\n"
    loop = f"for number in range({ROUNDS}):\n    last = {read}\n"
    watched = counted(usual + loop) - counted(usual)
    alone = counted(NOT_WATCHED + usual + loop) - counted(NOT_WATCHED + usual)
    assert watched < 1.6 * alone


def test_a_filter_without_such_values_has_no_warning(tmp_path: Path) -> None:
    lines = [line for line in FILTER.splitlines() if "  # " not in line]
    (tmp_path / "filter.py").write_text("\n".join(lines).replace("from helper import (\n    ID,\n)\n", ""))
    assert build(load_project(tmp_path), tmp_path / "main.wasm").warnings == ()


CANARY = "pwasm-canary-{}-5f1d7e"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[str]]:
    """A module built in an environment full of secrets, in a separate process, with empty caches; and the secrets."""
    names = ("env", "home", "user", "dotenv", "git", "netrc", "pip", "hidden", "beside", "key", "test", "cache")
    secret = {name: CANARY.format(name) for name in names}
    home = tmp_path_factory.mktemp("canaries") / secret["home"]
    folder = home / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "__pycache__").mkdir()
    (home / ".config" / "pip").mkdir(parents=True)
    files = {
        home / ".netrc": f"machine example.com login x password {secret['netrc']}",
        home / ".config" / "pip" / "pip.conf": f"[global]\nindex-url = https://{secret['pip']}@127.0.0.1/simple\n",
        folder / ".git" / "config": f"[remote]\nurl = https://{secret['git']}@127.0.0.1/x.git\n",
        folder / ".env": f"PASSWORD={secret['dotenv']}\n",
        folder / ".hidden.py": f"SECRET = '{secret['hidden']}'\n",
        folder / "notes.txt": secret["beside"],
        folder / "server.key": secret["key"],
        folder / "test_filter.py": f"SECRET = '{secret['test']}'\n",
        folder / "__pycache__" / "old.txt": secret["cache"],
        # It looks for everything that an import could take with it.
        folder / "filter.py": SNOOP,
    }
    for path, text in files.items():
        path.write_text(text)
    environment = {
        "HOME": str(home),
        "USER": secret["user"],
        "LOGNAME": secret["user"],
        "PWASM_CANARY_ENV": secret["env"],
        "PIP_INDEX_URL": f"https://{secret['pip']}@127.0.0.1/simple",
        "PWASM_CACHE_DIR": str(home / "cache"),
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-m", "pwasm_compiler.cli", "build", str(folder), "-o", str(home / "main.wasm")]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    more = [str(home), socket.gethostname(), getpass.getuser(), str(Path.home()), sys.prefix]
    # A user called "root" or a host called "a" would be found in any module.
    return (home / "main.wasm").read_bytes(), [*secret.values(), *(text for text in more if len(text) > 6)]


SNOOP = """\
import glob
import os
import sys
import pwasm

SEEN = [dict(os.environ), sys.argv, sys.path, os.getcwd()]
for pattern in ("/*", "/*/*", "/0/.*", "./*", "./.*", "/home/*", "/root/*", "/proc/*", "/tmp/*", "/etc/*"):
    for path in glob.glob(pattern):
        try:
            SEEN.append((path, open(path, "rb").read()))
        except OSError as error:
            SEEN.append((path, str(error)))
pwasm.set_http_context(pwasm.HttpContext)
MARK = "this-text-is-in-the-module"
"""


def forms(text: str) -> list[bytes]:
    """The text as Python may have it in memory: one, two or four bytes for a character."""
    return [text.encode(), text.encode("utf-16-le"), text.encode("utf-32-le"), text[::-1].encode()]


def test_nothing_of_the_builds_surroundings_is_in_the_module(planted: tuple[bytes, list[str]]) -> None:
    """The module's data is not compressed, so everything in memory is in the file."""
    module, secrets = planted
    assert b"this-text-is-in-the-module" in module
    found = [(text, form[:20]) for text in secrets for form in forms(text) if form in module]
    assert found == []


TOKEN = re.compile(rb"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{32,128}(?![A-Za-z0-9+/_=-])")
FILE = b"/__pycache__/"
"""The name of a file of ours or of Python's; what stands before it in memory may make it look otherwise."""
KINDS = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")


def looks_drawn(token: bytes) -> bool:
    """Whether a text looks drawn from a hat: digits in base 16, or all kinds of characters in turn."""
    if re.fullmatch(rb"[0-9a-f]{32,}", token):
        return entropy(token) > 3
    kinds = [next((kind for kind in KINDS if re.match(kind, bytes([byte]))), b"") for byte in token]
    turns = sum(one != other for one, other in pairwise(kinds))
    return set(KINDS) <= set(kinds) and turns > len(token) / 4


def entropy(data: bytes) -> float:
    """Bits for each byte."""
    return -sum(n / len(data) * math.log2(n / len(data)) for n in (data.count(byte) for byte in set(data)))


def test_what_looks_like_a_key_came_with_the_interpreter(planted: tuple[bytes, list[str]]) -> None:
    """Only data of componentize-py and names in the SDK may look like a key: tables, checksums, `sha256_…`."""
    base = load_base()
    with zipfile.ZipFile(io.BytesIO(base.library)) as archive:
        library = [archive.read(name) for name in archive.namelist()]
    sdk = [part for name, file in sdk_files().items() for part in (f"pwasm/{name}".encode(), file.read_bytes())]
    shipped = b"\0".join([base.component, *library, *sdk])
    found = {token for token in TOKEN.findall(planted[0]) if looks_drawn(token) and FILE not in token}
    assert found, "there are some, so the look is not blind"
    # A name may be preceded in memory by other bytes that look like letters of it: the end of one, a chunk's head.
    assert sorted(token for token in found if not any(token[at:] in shipped for at in range(16))) == []


@pytest.mark.parametrize(
    "key",
    [
        b"AKIAIOSFODNN7EXAMPLEwJalrXUtnFEMIK7MDENGbPxRfi",
        b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        b"5f1d7e0a9c3b4d2e8f6a7b1c0d9e8f7a",
    ],
)
def test_a_key_looks_like_one(key: bytes) -> None:
    assert TOKEN.findall(b"\0" + key + b"\0") == [key]
    assert looks_drawn(key)
