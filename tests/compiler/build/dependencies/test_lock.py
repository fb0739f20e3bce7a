"""The lock file: written on request, installed exactly, and refused when it does not fit any more."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.build.dependencies import locked_hashes
from pwasm_compiler.build.dependencies.distribution import Distribution
from pwasm_compiler.build.dependencies.lock import check_lock, read_lock, write_lock
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.project import Project
from tests.support.local_index import NATIVE, MakeSdist, MakeWheel, Run

pytestmark = pytest.mark.programs

SHA256 = "0" * 64


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "pwasm.lock"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_it_lists_the_archives_that_were_taken(
    run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist, lock: Path
) -> None:
    app = make_wheel("app", requires=["Speed"])
    make_wheel("speed", tag=NATIVE)
    speed = make_sdist("speed")
    run("app", lock=lock, write_lock=True)
    assert tomllib.loads(lock.read_text())["distribution"] == [
        {"name": "app", "version": "1.0", "archive": app.name, "sha256": sha256(app)},
        {"name": "speed", "version": "1.0", "archive": speed.name, "sha256": sha256(speed)},
    ]


def test_a_build_takes_what_it_lists(run: Run, make_wheel: MakeWheel, lock: Path) -> None:
    make_wheel("app", requires=["lib"])
    make_wheel("lib")
    run("app", lock=lock, write_lock=True)
    make_wheel("app", version="2.0")
    make_wheel("lib", version="2.0")
    assert run("app", lock=lock).resolved == ("app==1.0", "lib==1.0")
    assert run("app", lock=lock, write_lock=True).resolved == ("app==2.0",)
    assert [one.version for one in read_lock(lock)] == ["2.0"]


def test_what_it_lists_is_cached_without_end(
    run: Run, make_wheel: MakeWheel, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel("app")
    run("app", lock=lock, write_lock=True)
    run("app", lock=lock)
    wheel.unlink()
    monkeypatch.setattr("time.time", lambda: 1e12)
    assert run("app", lock=lock).resolved == ("app==1.0",)


def test_another_archive_of_the_same_version_is_refused(run: Run, make_wheel: MakeWheel, lock: Path) -> None:
    make_wheel("app")
    run("app", lock=lock, write_lock=True)
    make_wheel("app", files={"app.py": "evil = True\n"})
    with pytest.raises(ProjectError, match="an archive is not the one with the recorded SHA-256") as caught:
        run("app", lock=lock)
    assert "app==1.0" in caught.value.why


def test_another_sdist_of_the_same_version_is_refused(
    run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist, lock: Path, empty_cache: Path
) -> None:
    make_wheel("speed", tag=NATIVE)
    make_sdist("speed")
    run("speed", lock=lock, write_lock=True)
    make_sdist("speed", code='files["evil.py"] = ""')
    for entry in empty_cache.glob("wheels/*"):
        entry.unlink()
    with pytest.raises(ProjectError, match="an archive is not the one with the recorded SHA-256"):
        run("speed", lock=lock)


@pytest.mark.parametrize(
    ("requirements", "problems"),
    [
        (["app", "new>=1"], ["pyproject.toml requires 'new>=1', which is not in it."]),
        (["app>=2"], ["pyproject.toml requires 'app>=2'; it has app 1.0."]),
        (["app", "other"], ["pyproject.toml requires 'other', which is not in it."]),
        (["app[x]"], ["app 1.0 requires 'extra-lib', which is not in it."]),
        (["lib"], ["Nothing requires app 1.0, which is in it."]),
        ([], ["Nothing requires app 1.0, which is in it.", "Nothing requires lib 1.0, which is in it."]),
    ],
)
def test_the_error_names_what_does_not_fit(
    run: Run, make_wheel: MakeWheel, lock: Path, requirements: list[str], problems: list[str]
) -> None:
    make_wheel("app", requires=["lib", "extra-lib; extra == 'x'", "no; sys_platform == 'win32'"])
    make_wheel("lib")
    run("app", lock=lock, write_lock=True)
    with pytest.raises(ProjectError) as caught:
        run(*requirements, lock=lock)
    what, *why, hint = str(caught.value).splitlines()
    assert what == f"{lock} does not fit the dependencies"
    assert why == problems
    assert hint == "hint: pwasm build --lock resolves the dependencies again and writes it"


def test_a_requirement_that_still_fits_needs_no_new_lock(run: Run, make_wheel: MakeWheel, lock: Path) -> None:
    make_wheel("app")
    run("app", lock=lock, write_lock=True)
    assert run("App>=0.5,<2", lock=lock).resolved == ("app==1.0",)


def test_a_direct_url_is_locked(run: Run, make_wheel: MakeWheel, lock: Path) -> None:
    wheel = make_wheel("app")
    requirement = f"app @ {wheel.as_uri()}"
    run(requirement, lock=lock, write_lock=True)
    assert read_lock(lock) == (Distribution("app", "1.0", url=wheel.as_uri(), sha256=sha256(wheel), is_direct=True),)
    assert run(requirement, lock=lock).resolved == ("app==1.0",)


def test_what_has_no_archive_cannot_be_locked(lock: Path) -> None:
    with pytest.raises(ProjectError, match="cannot lock 'tool': the SHA-256 of its archive is unknown"):
        write_lock(lock, [Distribution("tool", "1.0", url="file:///tool", is_direct=True)])


def test_a_lock_that_is_missing(run: Run, lock: Path) -> None:
    with pytest.raises(UsageError, match="pwasm build --lock"):
        run("app", lock=lock)


@pytest.mark.parametrize(
    "text",
    [
        "distribution = 1",
        "distribution = [1]",
        "[[distribution]]\nname = 'app'",
        f"[[distribution]]\nname = '-r'\nversion = '1 x'\narchive = 'a'\nsha256 = '{SHA256}'",
        "[[distribution]]\nname = 'app'\nversion = '1'\narchive = 'a'\nsha256 = 'x'",
        f"[[distribution]]\nname = '--index-url=x'\nversion = '1'\narchive = 'a'\nsha256 = '{SHA256}'",
        f"[[distribution]]\nname = 'a'\nversion = '1'\narchive = 'a'\nsha256 = '{SHA256}'\nurl = 'u\\n--x'".replace(
            "'u\\n--x'", '"https://x\\n--index-url=y"'
        ),
        "surprise = 1",
        "[[distribution]]\nsurprise = 1",
        2 * f"[[distribution]]\nname = 'app'\nversion = '1'\narchive = 'a'\nsha256 = '{SHA256}'\n",
        "no toml",
    ],
)
def test_a_file_that_is_no_lock(lock: Path, text: str) -> None:
    lock.write_text(text)
    with pytest.raises(ProjectError):
        read_lock(lock)


def test_nothing_is_locked(run: Run, lock: Path) -> None:
    assert run(lock=lock, write_lock=True).resolved == ()
    assert run(lock=lock).resolved == ()
    check_lock(lock, (), read_lock(lock))


def test_hashes_for_the_record(tmp_path: Path, lock: Path) -> None:
    write_lock(lock, [Distribution("App", "1.0", url="app-1.0-py3-none-any.whl", sha256=SHA256)])
    settings: dict[str, Any] = {"root": tmp_path, "entry": tmp_path, "name": "", "output": tmp_path}
    assert locked_hashes(Project(**settings)) == {}
    assert locked_hashes(Project(**settings, lock=lock)) == {"App==1.0": SHA256}
