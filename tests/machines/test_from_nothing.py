"""pwasm where nothing of it has ever been: the README's two commands, and users without a fresh, friendly machine.

Needs root and debootstrap (see `debian`); elsewhere NOT RUN.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.debian import NEW, NEXT, VENV, Machine, MachineError, Release
from tests.support.paths import TESTS

pytestmark = [pytest.mark.machine, pytest.mark.wasm, pytest.mark.envoy]

BUILD = f"{VENV}/bin/pwasm build"
EXAMPLE = "/srv/filters/hello_world"
ELSEWHERE = "/srv/ana's filters/Prüfung 1"
"""A path with what scripts stumble over."""
RUN = """
cd /root/pwasm
make run >/tmp/run.log 2>&1 &
until curl --silent --include http://127.0.0.1:10000/one >/tmp/answer; do
  kill -0 $! 2>/dev/null || { cat /tmp/run.log; exit 1; }
  sleep 0.2
done
cat /tmp/answer
"""


@pytest.fixture(scope="module")
def here(built: Callable[[str], Path]) -> str:
    """Digest of the example's module, built with the Python that runs the tests."""
    return hashlib.sha256(built("../../filters/hello_world").read_bytes()).hexdigest()


def digest(machine: Machine, module: str) -> str:
    return hashlib.sha256(machine.path(module).read_bytes()).hexdigest()


def test_make_run(checkout: Machine, here: str) -> None:
    """Debian 12, whose Python 3.11.2 matches possessive quantifiers wrongly (CPython gh-106052)."""
    assert "x-wasm-custom: FOO" in checkout.run(RUN)
    assert digest(checkout, "/root/pwasm/filters/hello_world/main.wasm") == here


def test_make_test(checkout: Machine) -> None:
    """Set-up, a build, wasmtime and an Envoy."""
    tests = ("wasm/test_instructions.py", "build/dependencies/test_resolve.py")
    wanted = " ".join(["filters/hello_world", *(f"tests/compiler/{test}" for test in tests)])
    said = checkout.run(f"cd /root/pwasm && make test ARGS='{wanted}'", environment={"LANG": "C.UTF-8"})
    assert re.search(r"\n=+ \d+ passed in ", said), said


@pytest.mark.parametrize("release", [NEW, NEXT], ids=lambda release: release.name)
def test_every_python_makes_the_same_module(install: Callable[[Release], Machine], here: str, release: Release) -> None:
    machine = install(release)
    machine.run(f"{BUILD} {EXAMPLE} -o /tmp/main.wasm")
    assert digest(machine, "/tmp/main.wasm") == here


@pytest.mark.parametrize("release", [NEW, NEXT], ids=lambda release: release.name)
def test_clocks_in_tests_on_every_python(install: Callable[[Release], Machine], release: Release) -> None:
    """`advance` moves built-in functions of the Python that runs the test."""
    machine, ours = install(release), TESTS
    tests = ("sdk/testing/worlds/test_clocks.py", "sdk/testing/emulator/test_clocks.py")
    for name in ("projects/clocks/filter.py", *tests):
        target = machine.path(f"/srv/tests/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ours / name).read_bytes())
    run = f"{VENV}/bin/python -m pytest --pwasm-tier python,wasm,envoy --pwasm-require --import-mode importlib"
    said = machine.run(" ".join((run, *(f"/srv/tests/{name}" for name in tests))))
    assert re.search(r" \d+ passed in ", said), said


def test_a_user_who_can_write_next_to_nothing(installed: Machine) -> None:
    """No network, no home to write into, no locale, a path with spaces: all three tiers."""
    installed.run(f'mkdir -p "{ELSEWHERE}" && cp {EXAMPLE}/* "{ELSEWHERE}" && chown -R ana "{ELSEWHERE}"')
    quoted = f'"{ELSEWHERE}"'
    test = f"{VENV}/bin/pwasm test {quoted} --tier python,wasm,envoy --require -p no:cacheprovider"
    said = installed.run(test, user="ana", network=False, environment={"LANG": "C"})
    assert re.search(r" \d+ passed in ", said), said
    said = installed.run(f"{BUILD} {quoted}", user="ana", network=False, environment={"LANG": "C"})
    assert "warning: cannot write the cache, so the next build will not be faster: /home/ana" in said
    assert digest(installed, f"{ELSEWHERE}/main.wasm") == digest(installed, "/tmp/main.wasm")


def test_two_users_share_a_cache(installed: Machine) -> None:
    """One user's entries are used by the other; nothing is built again."""
    installed.run("install -d -m 2775 -g filters /srv/shared")
    environment = {"PWASM_CACHE_DIR": "/srv/shared"}
    script = f"umask {{umask}}; {BUILD} --json {EXAMPLE} -o /tmp/{{user}}.wasm 2>/dev/null"
    installed.run(script.format(umask="002", user="ana"), user="ana", environment=environment)
    before = _entries(installed, "/srv/shared")
    assert {kind.partition("/")[0] for kind in before} == {"bytecode", "code", "machine"}
    report = json.loads(installed.run(script.format(umask="002", user="ben"), user="ben", environment=environment))
    assert (report["warnings"], _entries(installed, "/srv/shared")) == ([], before)


def test_what_one_user_keeps_to_themself_is_said_and_stays(installed: Machine) -> None:
    installed.run("install -d -m 2775 -g filters /srv/private")
    environment = {"PWASM_CACHE_DIR": "/srv/private"}
    script = f"umask {{umask}}; {BUILD} --json {EXAMPLE} -o /tmp/{{user}}-2.wasm 2>/dev/null"
    installed.run(script.format(umask="007", user="ana"), user="ana", environment=environment)
    installed.run("chmod -R g-r,g+X /srv/private/*/*")
    before = _entries(installed, "/srv/private")
    report = json.loads(installed.run(script.format(umask="002", user="ben"), user="ben", environment=environment))
    said = "cannot read a cache entry, so builds will not get faster: /srv/private/"
    assert any(warning.startswith(said) for warning in report["warnings"]), report["warnings"]
    assert _entries(installed, "/srv/private") == before


def _entries(machine: Machine, folder: str) -> dict[str, int]:
    """Every entry of a cache with its number on the disk: a new one if it was replaced."""
    root = machine.path(folder)
    return {str(path.relative_to(root)): path.stat().st_ino for path in sorted(root.glob("*/*"))}


def test_a_full_temporary_folder(installed: Machine) -> None:
    environment = {"TMPDIR": "/mnt", "PWASM_CACHE_DIR": "/tmp/cache"}
    with pytest.raises(MachineError) as failed:
        installed.run(f"{BUILD} {EXAMPLE} -o /tmp/full.wasm", environment=environment, small="/mnt")
    said = str(failed.value).partition("ended with 1:\n")[2]
    assert said.startswith("error: no space left in the temporary folder /mnt\n"), said
    assert "hint: " in said
    assert "TMPDIR" in said
    assert "Traceback" not in said
    assert not installed.path("/tmp/full.wasm").exists()


def test_a_cold_build_that_is_ended_leaves_nothing(installed: Machine) -> None:
    """While the build-time Python is compiled, which is when people lose patience."""
    script = f"""
    mkdir /tmp/ended
    {BUILD} {EXAMPLE} -o /tmp/ended.wasm >/tmp/ended.log 2>&1 &
    until ls /tmp/ended/pwasm-* /tmp/ended-cache/machine.lock >/dev/null 2>&1; do sleep 0.01; done
    kill -TERM $!
    wait $! && exit 9
    echo "code $?"
    ls -AR /tmp/ended /tmp/ended-cache
    """
    environment = {"TMPDIR": "/tmp/ended", "PWASM_CACHE_DIR": "/tmp/ended-cache"}
    said = installed.run(script, environment=environment)
    assert said.splitlines() == ["code 143", "/tmp/ended:", "", "/tmp/ended-cache:", "machine.lock"]
    assert not installed.path("/tmp/ended.wasm").exists()


def test_four_cold_builds_at_once_make_it_once(installed: Machine, here: str) -> None:
    script = f"""
    for number in 1 2 3 4; do
      {BUILD} --json {EXAMPLE} -o /tmp/four-$number.wasm >/tmp/four-$number.json &
    done
    wait
    """
    installed.run(script, environment={"PWASM_CACHE_DIR": "/tmp/four"})
    assert {digest(installed, f"/tmp/four-{number}.wasm") for number in range(1, 5)} == {here}
    made = installed.path("/tmp/four").glob("*/*")
    assert sorted(path.parent.name for path in made) == ["bytecode", "code", "machine"]


def test_the_environment_of_a_user_is_small(installed: Machine) -> None:
    """docs/platforms.md lists its contents; no compiler, no componentize-py."""
    listed = json.loads(installed.run(f"{VENV}/bin/python -m pip list --format json --disable-pip-version-check"))
    names = {package["name"].lower() for package in listed}
    assert not names & {"componentize-py", "ziglang", "hatchling", "mypy", "ruff", "grpcio"}


def test_doctor_is_content(installed: Machine) -> None:
    report = json.loads(installed.run(f"{VENV}/bin/pwasm doctor --json", network=False))
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert (report["ok"], states["Python"], states["build-time Python"], states["Envoy"]) == (True, "ok", "ok", "ok")
