"""A module has the versions of a usual machine: pip's own way back to old ones is an error, not a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from pwasm_compiler.build.dependencies import pip
from pwasm_compiler.errors import ProjectError
from tests.support.local_index import NATIVE, MakeSdist, MakeWheel, Run

pytestmark = pytest.mark.programs


def error_of(run: Run, *requirements: str) -> str:
    with pytest.raises(ProjectError) as caught:
        run(*requirements)
    return str(caught.value)


@pytest.fixture
def token(make_wheel: MakeWheel) -> None:
    """Like PyJWT: since version 2, the extra `crypto` needs native code."""
    make_wheel("token", version="1.0")
    metadata = ["speed>=3; extra == 'crypto'\nProvides-Extra: crypto"]
    make_wheel("token", version="2.0", requires=metadata)
    make_wheel("speed", version="3.1", tag=NATIVE)


@pytest.mark.usefixtures("token")
def test_an_extra_with_native_code_is_no_reason_to_go_back(run: Run) -> None:
    assert error_of(run, "token[crypto]").splitlines() == [
        "'speed' has native code, which cannot run in the module",
        "It is required by token[crypto] (2.0) → speed>=3 (3.1); the versions are those that a usual machine gets.",
        "It is distributed as compiled libraries. It has no sdist of this version.",
        "Without native code there would be token 1.0 instead of 2.0; "
        "pwasm does not go back to old versions by itself.",
        "hint: leave out the extra: token without [crypto]; or use a package written in pure Python; "
        'or accept older versions, which may lack security fixes, by naming them in dependencies: "token<=1.0"',
    ]


@pytest.mark.usefixtures("token")
def test_without_the_extra_there_is_the_newest(run: Run) -> None:
    assert run("token").resolved == ("token==2.0",)


@pytest.fixture
def model(make_wheel: MakeWheel) -> None:
    """Like pydantic: version 1 is pure, and version 2 requires native code."""
    make_wheel("model", version="1.9")
    make_wheel("model", version="2.0", requires=["model-core==2.5"])
    make_wheel("model_core", version="2.5", tag=NATIVE)
    make_wheel("app", requires=["model"])


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("requirement", "chain"),
    [
        ("model", "model (2.0) → model-core==2.5 (2.5)"),
        ("model<3", "model<3 (2.0) → model-core==2.5 (2.5)"),  # a habit, and no word about version 1
        ("app==1.0", "app==1.0 (1.0) → model (2.0) → model-core==2.5 (2.5)"),
    ],
)
def test_the_error_names_the_way_there_and_the_version_before(run: Run, requirement: str, chain: str) -> None:
    said = error_of(run, requirement)
    assert said.startswith("'model-core' has native code, which cannot run in the module\n")
    assert f"It is required by {chain}; the versions are" in said
    assert "Without native code there would be model 1.9 instead of 2.0" in said
    assert said.endswith('by naming them in dependencies: "model<=1.9"')


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("requirements", [["model<2"], ["model<=1.9"], ["model==1.9"], ["app", "model<2"]])
def test_a_version_that_the_filter_names_is_taken(run: Run, requirements: list[str]) -> None:
    assert "model==1.9" in run(*requirements).resolved


def test_a_newer_version_that_is_itself_native(run: Run, make_wheel: MakeWheel) -> None:
    make_wheel("speed", version="1.0")
    make_wheel("speed", version="2.0", tag=NATIVE)
    said = error_of(run, "speed")
    assert "A usual machine gets speed 2.0." in said
    assert "speed 1.0 instead of 2.0" in said
    assert run("speed<2").resolved == ("speed==1.0",)


@pytest.mark.parametrize("tag", ["py3-none-any", "py314-none-any", "cp314-none-any", "py2.py3-none-any"])
def test_of_one_version_the_pure_wheel_is_taken(run: Run, make_wheel: MakeWheel, tag: str) -> None:
    make_wheel("codec", files={"codec.py": "pure = True\n"}, tag=tag)
    make_wheel("codec", files={"codec.py": "", "codec_c.cpython-314-x86_64-linux-gnu.so": ""}, tag=NATIVE)
    result = run("codec")
    assert result.resolved == ("codec==1.0",)
    assert (result.into / "codec.py").read_text() == "pure = True\n"


def test_what_markers_leave_out_matters_to_nobody(run: Run, make_wheel: MakeWheel) -> None:
    requires = [f"speed; {marker}" for marker in ("sys_platform == 'win32'", "sys_platform == 'linux'", "extra == 'x'")]
    make_wheel("app", requires=requires)
    make_wheel("speed", tag=NATIVE)
    assert run("app").resolved == ("app==1.0",)


@pytest.mark.usefixtures("make_wheel")
def test_a_newer_version_without_a_wheel(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_wheel("tool", version="1.0")
    make_sdist("tool", version="1.5")
    make_sdist("tool", version="2.0rc1")
    said = error_of(run, "tool")
    assert said.startswith("'tool' 1.5 has no wheel for Python 3.14, only an sdist\n")
    assert 'sdist = ["tool"]' in said
    assert '"tool<=1.0"' in said
    assert run("tool<1.5").resolved == ("tool==1.0",)
    assert run("tool", sdist=("tool",)).resolved == ("tool==1.5",)


def test_an_archive_of_no_version_is_no_newer_version(
    run: Run, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = [make_wheel("tool").name, "tool-1.1.linux-x86_64.tar.gz"]
    page = make_wheel("other").with_name("links.html")  # of a folder, pip skips it before it looks for versions
    page.write_text("<!DOCTYPE html>" + "".join(f'<a href="{name}">{name}</a>' for name in archives))
    monkeypatch.setenv("PIP_FIND_LINKS", str(page))
    assert run("tool").resolved == ("tool==1.0",)


def test_an_older_version_without_a_wheel_is_no_matter(run: Run, make_wheel: MakeWheel, make_sdist: MakeSdist) -> None:
    make_sdist("tool", version="1.0")
    make_wheel("tool", version="2.0")
    assert run("tool").resolved == ("tool==2.0",)


def test_one_more_run_of_pip(run: Run, make_wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []
    regular = pip.pip

    def counted(*arguments: object, **options: object) -> object:
        commands.append(arguments[1])
        return regular(*arguments, **options)  # type: ignore[arg-type]

    for module in ("versions", "sources"):
        monkeypatch.setattr(f"pwasm_compiler.build.dependencies.{module}.pip", counted)
    make_wheel("app", requires=["lib"])
    make_wheel("lib")
    run("app")
    run("app")
    assert commands == ["install", "install"]


def test_the_index_an_extra_with_native_code(run: Run) -> None:
    said = error_of(run, "PyJWT[crypto]>=2")
    assert said.startswith("'cryptography' has native code, which cannot run in the module")
    assert "leave out the extra: PyJWT without [crypto]" in said
