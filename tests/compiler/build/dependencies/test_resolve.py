"""Dependencies are resolved for the Python in the module, by the real pip."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.build import dependencies
from pwasm_compiler.build.dependencies import resolve, versions
from pwasm_compiler.cache import Cache
from pwasm_compiler.errors import ProjectError, ToolError
from pwasm_compiler.project import Project
from tests.support.local_index import MakeWheel, Run

pytestmark = pytest.mark.programs


def test_nothing_to_do(run: Run) -> None:
    assert run()[0] == ()


def test_a_package_with_its_data_and_its_own_dependency(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("app", requires=["lib>=1"], files={"app/__init__.py": "", "app/data/table.json": "[1]"})
    make_wheel("lib")
    resolved, into, said = run("app")
    assert resolved == ("app==1.0", "lib==1.0")
    assert (into / "app/data/table.json").read_text() == "[1]"
    assert (into / "lib.py").is_file()
    assert said == ["installing app"]


def test_markers_are_those_of_the_module(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    assert sys.version_info < (3, 14) or sys.platform != "wasi"
    make_wheel(
        "app",
        requires=[
            "old; python_version < '3.14'",
            "new; python_version >= '3.14'",
            "wasi; sys_platform == 'wasi'",
            "linux; sys_platform == 'linux'",
        ],
    )
    for name in ("old", "new", "wasi", "linux"):
        make_wheel(name)
    assert run("app")[0] == ("app==1.0", "new==1.0", "wasi==1.0")


def test_wheels_are_those_of_the_module(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    host = f"py{sys.version_info[0]}{sys.version_info[1]}"
    make_wheel("app", version="1.0", tag="py314-none-any")
    make_wheel("app", version="2.0", tag=f"c{host}-none-linux_x86_64")
    assert run("app")[0] == ("app==1.0",)


def test_what_varies_between_installations_is_left_out(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("app")
    _, into, _ = run("app")
    files = sorted(file.relative_to(into).as_posix() for file in into.rglob("*") if file.is_file())
    assert files == ["app-1.0.dist-info/METADATA", "app-1.0.dist-info/WHEEL", "app.py"]


def test_the_second_time_comes_from_the_cache(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    wheel = make_wheel("app")
    run("app")
    wheel.unlink()
    resolved, into, said = run("app")
    assert (resolved, said) == (("app==1.0",), [])
    assert (into / "app.py").is_file()


def test_the_cache_is_good_for_a_day(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel("app")
    run("app")
    make_wheel("app", version="2.0")
    assert run("app")[0] == ("app==1.0",)
    tomorrow = time.time() + dependencies.FRESH_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert run("app")[0] == ("app==2.0",)


def test_a_failure_leaves_nothing_in_the_cache(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, empty_cache: Path
) -> None:
    make_wheel("app", files={"app/__init__.py": "", "app/_fast.so": "\x7fELF"})
    with pytest.raises(ProjectError):
        run("app")
    assert list(empty_cache.glob("dependencies/*")) == []


def test_a_cache_that_cannot_be_written_is_noted_and_no_error(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel("app")
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    project = Project(root=tmp_path, entry=tmp_path, name="", output=tmp_path, dependencies=("app",))
    (tmp_path / "into").mkdir()
    assert resolve(project, tmp_path / "into", print, cache) == ("app==1.0",)
    assert (tmp_path / "into" / "app.py").is_file()
    assert "Not a directory" in cache.problem


@pytest.mark.parametrize("name", ["_fast.so", "_fast.cpython-314-x86_64-linux-gnu.so", "lib.so.1", "a.pyd", "a.dylib"])
def test_native_code_in_a_wheel_that_claims_to_be_pure(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, name: str
) -> None:
    make_wheel("Some.App", files={"app/__init__.py": "", f"app/{name}": "\x7fELF"})
    with pytest.raises(ProjectError) as caught:
        run("Some.App")
    assert caught.value.what == "'Some.App' has native code, which cannot run in the module"
    assert f"It contains app/{name}." in caught.value.why


def test_requirements_that_exclude_one_another(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("app")
    make_wheel("app", version="2.0")
    with pytest.raises(ProjectError) as caught:
        run("app<2", "app>1")
    assert str(caught.value).splitlines() == [
        "pip could not resolve the dependencies: app<2, app>1",
        "The user requested app<2",
        "The user requested app>1",
    ]


def test_a_full_temporary_folder_double(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip's actual output on a full disk, replayed on one that is not full."""
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    done = subprocess.CompletedProcess([], 1, said)
    monkeypatch.setattr(versions, "pip", lambda *_arguments, **_options: done)
    make_wheel("app")
    with pytest.raises(ToolError, match="no space left in the temporary folder"):
        run("app")


@pytest.mark.parametrize("releases", [["1.0"], ["1.0", "2.0"]])
def test_a_dependency_of_a_dependency_is_native(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, releases: list[str]
) -> None:
    for version in releases:
        make_wheel("app", version=version, requires=["Fast_Lib>=1"])
    make_wheel("fast_lib", tag="cp314-cp314-manylinux_2_17_x86_64")
    with pytest.raises(ProjectError) as caught:
        run("app")
    what, why, *_ = str(caught.value).splitlines()
    assert what == "'fast-lib' has native code, which cannot run in the module"
    assert "app" in why


def test_a_version_that_does_not_exist(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("app")
    with pytest.raises(ProjectError) as caught:
        run("app==7")
    assert str(caught.value) == "no version of 'app' satisfies 'app==7'\nAvailable versions: 1.0."


def test_a_dependency_of_a_dependency_is_missing(run: Run, tmp_path: Path, make_wheel: MakeWheel) -> None:
    make_wheel("app", requires=["nothing-like-it"])
    with pytest.raises(ProjectError, match="nothing-like-it"):
        run("app")


def test_the_filters_modules_do_not_take_the_place_of_pips(
    run: Run, tmp_path: Path, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel("app")
    (tmp_path / "pip.py").write_text("raise SystemExit('this is not pip')")
    monkeypatch.chdir(tmp_path)
    assert run("app")[0] == ("app==1.0",)


def test_without_pip_there_is_a_hint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip is not installed(.|\n)*ensurepip"):
        run("app")


def test_the_index_a_pure_package(run: Run) -> None:
    resolved, into, _ = run("idna==3.10")
    assert resolved == ("idna==3.10",)
    assert (into / "idna" / "core.py").is_file()


def test_the_index_a_native_package(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"^'numpy' has native code, which cannot run in the module"):
        run("numpy")


def test_the_index_a_native_package_two_steps_away(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"^'pydantic-core' has native code(.|\n)*pydantic"):
        run("pydantic>=2")


def test_the_index_a_name_nobody_has(run: Run) -> None:
    with pytest.raises(ProjectError, match=r"^no package 'pwasm-test-no-such-package' found"):
        run("pwasm-test-no-such-package")


def test_an_index_that_cannot_be_reached(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(ToolError, match="cannot reach the package index to look up 'idna'"):
        run("idna")


def test_the_cache_key_knows_where_pip_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(requirement: str, **settings: Any) -> str:
        project = Project(Path(), Path(), "", Path(), dependencies=(requirement,), **settings)
        return dependencies._key(project, None)

    before = key("a")
    assert before == key("a")
    assert before not in (key("b"), key("a", sdist=("a",)))
    monkeypatch.setenv("PIP_INDEX_URL", json.dumps("elsewhere"))
    assert before != key("a")
