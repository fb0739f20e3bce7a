"""Pure wheels from sdists: built by real pip, where nothing can be compiled."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from pwasm_compiler.build.dependencies import pip, sdist
from pwasm_compiler.build.dependencies.distribution import Distribution
from pwasm_compiler.cache import Cache
from pwasm_compiler.errors import ProjectError
from tests.support.local_index import NATIVE, MakeSdist, MakeWheel, Run

pytestmark = pytest.mark.programs

# An extension that a build leaves out if it cannot be compiled.
OPTIONAL = """\
open("fast.c", "w").write("int answer;")
try:
    subprocess.run([os.environ.get("CC", "cc"), "-c", "fast.c"], check=True)
    files["fast.so"] = "native"
except (OSError, subprocess.CalledProcessError):
    print("no compiler")
"""
REQUIRED = 'subprocess.run(["cc", "-c", "fast.c"], check=True)'


def test_an_optional_extension_is_left_out(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_wheel("app", requires=["speed"])
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed", code=OPTIONAL)
    result = run("app")
    assert result.resolved == ("app==1.0", "speed==1.0")
    assert (result.into / "speed.py").read_text() == "sdist = True\n"
    assert not (result.into / "fast.so").exists()
    assert result.said == ["installing app", "building speed 1.0 without native code"]


def test_the_bytes_do_not_depend_on_a_compiler(
    make_sdist: MakeSdist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sdist("speed", code=OPTIONAL)
    wanted = Distribution("speed", "1.0", url=f"speed-1.0-{NATIVE}.whl")
    compiler = tmp_path / "bin" / "cc"
    compiler.parent.mkdir()
    compiler.write_text("#!/bin/sh\nexit 0\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    with_one = sdist.pure_wheel(wanted, Cache(tmp_path / "1"))
    monkeypatch.setenv("PATH", "/nonexistent")
    without = sdist.pure_wheel(wanted, Cache(tmp_path / "2"))
    assert with_one == without


def test_the_wheel_is_cached(make_sdist: MakeSdist, tmp_path: Path) -> None:
    archive = make_sdist("speed")
    wanted = Distribution("speed", "1.0", url=f"speed-1.0-{NATIVE}.whl")
    first = sdist.pure_wheel(wanted, Cache(tmp_path / "cache"))
    archive.unlink()
    assert sdist.pure_wheel(wanted, Cache(tmp_path / "cache")) == first
    locked = Distribution("speed", "1.0", url=first.archive, sha256=first.sha256)  # as a lock file lists it
    assert sdist.pure_wheel(locked, Cache(tmp_path / "cache")) == first


def test_the_wheel_is_for_every_machine(make_sdist: MakeSdist, tmp_path: Path) -> None:
    make_sdist("speed")
    wheel = sdist.pure_wheel(Distribution("speed", "1.0", url=f"speed-1.0-{NATIVE}.whl"), Cache(tmp_path / "cache"))
    assert wheel.file == "speed-1.0-py3-none-any.whl"
    (tmp_path / wheel.file).write_bytes(wheel.contents)
    with zipfile.ZipFile(tmp_path / wheel.file) as archive:
        assert "Tag: py3-none-any\n" in archive.read("speed-1.0.dist-info/WHEEL").decode()
        recorded = archive.read("speed-1.0.dist-info/RECORD").decode().splitlines()
        assert [line.partition(",")[0] for line in recorded] == archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (REQUIRED, "Its sdist cannot be built without a compiler."),
        ('files["speed/_fast.so"] = ""', "The wheel built from its sdist contains speed/_fast.so."),
    ],
)
def test_what_cannot_be_pure_is_refused(
    run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist, code: str, why: str
) -> None:
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed", code=code)
    with pytest.raises(ProjectError, match=r"^'speed' has native code, which cannot run in the module") as caught:
        run("speed")
    assert why in str(caught.value)


def test_what_only_compiles_is_not_tried(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed", build_requires=["Maturin>=1,<2"])
    with pytest.raises(ProjectError, match="Its sdist is built with maturin, which needs a compiler"):
        run("speed")


def test_what_a_backend_sees(
    run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("CFLAGS", "-O3")
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed", code='import json; files["seen.json"] = json.dumps(dict(os.environ))')
    seen = json.loads((run("speed").into / "seen.json").read_text())
    assert not {"AWS_SECRET_ACCESS_KEY", "CFLAGS"} & seen.keys()
    assert seen["SOURCE_DATE_EPOCH"] == "315532800"
    assert not any((Path(folder) / "gcc").exists() for folder in seen["PATH"].split(":"))


def test_a_backend_has_no_network(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    if not pip._without_network():
        pytest.skip("this machine gives users no namespaces")
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed", code='import socket; files["seen.txt"] = repr([name for _, name in socket.if_nameindex()])')
    assert (run("speed").into / "seen.txt").read_text() == "['lo']"


def test_an_sdist_without_wheels_is_used_on_request(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_wheel("app", requires=["Old_Tool"])
    make_sdist("old_tool", requires=["lib>=1"])
    make_wheel("lib")
    with pytest.raises(ProjectError, match=r"'old-tool'.* has no pure-Python wheel") as caught:
        run("app")
    assert 'sdist = ["old-tool"] in [tool.pwasm]' in caught.value.hint
    result = run("app", sdist=("old-tool",))
    assert result.resolved == ("app==1.0", "lib==1.0", "old_tool==1.0")
    assert (result.into / "old_tool.py").is_file()


def test_an_sdist_on_request_comes_before_wheels(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_wheel("tool")
    make_sdist("tool")
    assert (run("tool").into / "tool.py").read_text() == ""
    assert (run("tool", sdist=("tool",)).into / "tool.py").read_text() == "sdist = True\n"


def test_a_folder_is_built_the_same_way(run: Run, make_sdist: MakeSdist, tmp_path: Path) -> None:
    archive = make_sdist("tool", code=OPTIONAL)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(tmp_path)], check=True)
    result = run(f"tool @ {(tmp_path / 'tool-1.0').as_uri()}")
    assert result.resolved == ("tool==1.0",)
    assert not (result.into / "fast.so").exists()


@pytest.mark.slow
def test_the_index_optional_extensions_of_real_packages(run: Run) -> None:
    result = run("jinja2==3.1.6", "msgpack==1.1.2")
    assert [text.partition("==")[0] for text in result.resolved] == ["Jinja2", "MarkupSafe", "msgpack"]
    assert (result.into / "markupsafe" / "_native.py").is_file()
    assert (result.into / "msgpack" / "fallback.py").is_file()
