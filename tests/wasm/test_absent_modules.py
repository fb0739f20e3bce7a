"""Libraries that import what a VM does not have: they can be imported, and say why when they use it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.pipeline import build
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.project import load_project

pytestmark = pytest.mark.wasm
MakeWheel = Callable[..., Path]

LIBRARY = """
import bz2, ctypes, ctypes.util, fcntl, grp, lzma, mmap, os.path, pwd, resource, ssl, syslog, termios, tty
from ctypes import CFUNCTYPE, POINTER, Structure, c_int
from urllib.request import HTTPSHandler

class Context(ssl.SSLContext): pass
class Point(Structure):
    _fields_ = [("x", c_int), ("y", c_int * 3)]
class Big(ctypes.BigEndianStructure):
    _fields_ = [("x", c_int)]
CALLBACK = CFUNCTYPE(c_int, POINTER(Point))

def caught():
    try:
        raise ssl.SSLError(1, "x")
    except (ssl.SSLCertVerificationError, ssl.SSLError) as error:
        return error.errno

WAYS = {
    "modes": lambda: [int(n) for n in (ssl.CERT_NONE, ssl.PROTOCOL_TLS_CLIENT, ssl.TLSVersion.TLSv1_2, ssl.OP_ALL)],
    "numbers": lambda: [mmap.ACCESS_READ, fcntl.LOCK_EX, resource.RLIMIT_NOFILE],
    "purpose": lambda: ssl.Purpose.SERVER_AUTH.shortname,
    "kinds": lambda: [isinstance(3, kind) for kind in (ssl.SSLSocket, mmap.mmap, c_int)],
    "names": lambda: [hasattr(ssl, name) for name in ("SSLContext", "wrap_everything")],
    "caught": caught,
    "sizes": lambda: [ctypes.sizeof(kind) for kind in (c_int, c_int * 4, ctypes.c_char, ctypes.c_void_p)],
    "pointers": lambda: POINTER(c_int) is POINTER(c_int) is not POINTER(Point),
    "find_library": lambda: ctypes.util.find_library("c"),
    "home": lambda: os.path.expanduser("~someone"),
    "context": lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    "subclass": lambda: Context(),
    "default": lambda: ssl.create_default_context(),
    "cdll": lambda: ctypes.CDLL("libc.so.6"),
    "c_int": lambda: Point(1),
    "python": lambda: ctypes.pythonapi.Py_IncRef(3),
    "mmap": lambda: mmap.mmap(-1, 10),
    "flock": lambda: fcntl.flock(1, 2),
    "user": lambda: pwd.getpwuid(0),
    "group": lambda: grp.getgrnam("root"),
    "resource": lambda: resource.getrusage(0),
    "tty": lambda: tty.setraw(0),
    "syslog": lambda: syslog.syslog("x"),
    "bz2": lambda: bz2.compress(b"x"),
    "lzma": lambda: lzma.compress(b"x"),
}
"""
POLITE = "try:\n    import ssl\nexcept ImportError:\n    ssl = None\n"
LATE = "def connect():\n    import ssl\n    return ssl.create_default_context()\n"
FILTER = """
import pwasm
from pwasm import Action
import late, polite
from rude import WAYS

WAYS |= {"polite": lambda: polite.ssl, "late": late.connect}

class Uses(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        try:
            answer = repr(WAYS[pwasm.get_http_request_header(":path").strip("/")]())
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        pwasm.send_http_response(200, body=answer)
        return Action.PAUSE

pwasm.set_http_context(Uses)
"""
REFUSED = "RuntimeError: {} does not work in a Wasm module: "
EXPECTED = {
    "modes": r"\[0, 16, 771, -?\d+\]",
    "numbers": r"\[1, 2, 7\]",
    "purpose": "'serverAuth'",
    "kinds": r"\[False, False, False\]",
    "names": r"\[True, False\]",
    "caught": "1",
    "sizes": r"\[4, 16, 1, 4\]",
    "pointers": "True",
    "find_library": "None",
    "home": "'~someone'",
    "context": REFUSED.format("ssl.SSLContext") + "Envoy terminates TLS",
    "subclass": REFUSED.format("ssl.SSLContext") + "Envoy terminates TLS",
    "default": REFUSED.format("ssl.SSLContext") + "Envoy terminates TLS",
    "cdll": "OSError: libc.so.6: does not exist in a Wasm module",
    "c_int": REFUSED.format("ctypes.Point"),
    "python": REFUSED.format("ctypes.Py_IncRef"),
    "mmap": REFUSED.format("mmap.mmap"),
    "flock": REFUSED.format(r"fcntl.flock\(\)"),
    "user": "KeyError: .*a Wasm module has no users",
    "group": "KeyError: .*a Wasm module has no groups of users",
    "resource": REFUSED.format(r"resource.getrusage\(\)"),
    "tty": REFUSED.format(r"termios.tcgetattr\(\)"),
    "syslog": REFUSED.format(r"syslog.syslog\(\)"),
    "bz2": REFUSED.format("bz2.BZ2Compressor"),
    "lzma": REFUSED.format("lzma.LZMACompressor"),
    "polite": "None",
    "late": REFUSED.format("ssl.SSLContext"),
}


def project(folder: Path, text: str, *dependencies: str) -> Path:
    (folder / "filter.py").write_text(text)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\ndependencies = {list(dependencies)}')
    return folder


def test_what_libraries_do_with_them(tmp_path: Path, make_wheel: MakeWheel) -> None:
    for name, text in (("rude", LIBRARY), ("polite", POLITE), ("late", LATE)):
        make_wheel(name, files={f"{name}.py": text})
    folder = project(tmp_path, FILTER, "rude", "polite", "late")
    module = build(load_project(folder), tmp_path / "main.wasm").path
    host = HostEmulator(plugin=lambda host: WasmPlugin(module, host))
    for way, expected in EXPECTED.items():
        stream = host.request("GET", f"/{way}")
        assert stream.local_response is not None, host.logs
        assert re.match(expected, stream.local_response.body.decode()), (way, stream.local_response.body)


def test_the_filters_own_import_is_refused(tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("late", files={"late.py": LATE})
    folder = project(tmp_path, "import late\nfrom ssl import SSLContext\n", "late")
    with pytest.raises(PwasmError, match="hint: ssl does not exist in a Wasm module: Envoy terminates TLS"):
        build(load_project(folder), tmp_path / "main.wasm")


def test_a_module_beside_the_filter_wins(tmp_path: Path) -> None:
    (tmp_path / "ssl.py").write_text("MINE = True\n")
    text = "import ssl\nimport pwasm\n\nassert ssl.MINE\npwasm.set_http_context(pwasm.HttpContext)\n"
    assert build(load_project(project(tmp_path, text)), tmp_path / "main.wasm").size
