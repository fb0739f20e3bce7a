"""The output for a failing test of a filter, in each tier."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import PROJECTS

Run = Callable[..., subprocess.CompletedProcess[str]]

TESTS = """
import pytest

pytestmark = pytest.mark.pwasm(filter={filter!r}, clusters={{"auth": 403}})


def test_wrong(pwasm_world):
    assert pwasm_world.request("GET", "/call/auth").status == 200


def test_hangs(pwasm_world):
    assert pwasm_world.request("GET", "/hang", timeout=1.5).status == 200


def test_after_a_hang(pwasm_world):
    assert pwasm_world.request("GET", "/fine").status == 200


def test_dies(pwasm_world):
    if pwasm_world.tier != "envoy":
        pytest.fail("it cannot die")
    pwasm_world.envoy.kill(11)
    pwasm_world.envoy.wait(10)
    pwasm_world.request()


def test_after_a_death(pwasm_world):
    assert pwasm_world.request("GET", "/fine").status == 200


@pytest.mark.pwasm(cluters={{}})
def test_marker(pwasm_world):
    pass


@pytest.mark.pwasm(configuration="{{")
def test_refused(pwasm_world):
    pass


@pytest.mark.pwasm(starts=False)
def test_not_refused(pwasm_world):
    pass


def handler(request):
    raise ValueError("in the handler")


@pytest.mark.pwasm(upstream=handler)
def test_handler(pwasm_world):
    pwasm_world.request()


def test_never(pwasm_world):
    pwasm_world.eventually(lambda: pwasm_world.logs("critical"), "the end of the world", seconds=0.1)
"""


def sections(output: str) -> dict[str, str]:
    """The output of pytest about each test, by its id."""
    parts = re.split(r"^_+ (?:ERROR at \w+ of )?(test_\w+\[\w+\]) _+$", output, flags=re.MULTILINE)
    found: dict[str, str] = {}
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        found[name] = found.get(name, "") + text
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failing")
    (folder / "test_failing.py").write_text(TESTS.format(filter=str(PROJECTS / "worlds")))
    return folder


@pytest.fixture(scope="module", params=["python", pytest.param("wasm", marks=pytest.mark.wasm)])
def emulated(request: pytest.FixtureRequest, folder: Path, run_pytest: Run) -> tuple[str, dict[str, str]]:
    said = run_pytest(folder, f"--pwasm-tier={request.param}", "--pwasm-timeout=3").stdout
    assert "2 passed" in said, said
    return request.param, sections(said)


def test_what_the_host_saw_is_shown_in_order(emulated: tuple[str, dict[str, str]]) -> None:
    tier, said = emulated
    shown = said[f"test_wrong[{tier}]"]
    expected = [
        "what the host saw",
        r"proxy_on_configure\(1, 0\)",
        r"    define_metric\(.*worlds_requests.*\) = 4",
        "→ True in ",
        r"proxy_on_request_headers\(2, 5, True\)",
        "    log info: request /call/auth",
        r"    http_call\(.*auth.*':path', '/check'.*may I.*\) = \d",
        "→ PAUSE in ",
        r"proxy_on_http_call_response\(",
        r"    send_local_response\(403, .*said 403",
        r"proxy_on_delete\(2\)",
    ]
    assert re.search(".*".join(expected), shown, re.DOTALL), shown


def test_a_hanging_filter_is_stopped_and_the_place_shown(emulated: tuple[str, dict[str, str]]) -> None:
    tier, said = emulated
    shown = said[f"test_hangs[{tier}]"]
    if tier == "python":
        assert "the filter did not return within 3 s" in shown
        assert re.search(r'filter\.py", line \d+, in path_hang\n    (while True|pass)', shown), shown
    else:
        assert re.search(r"proxy_on_request_headers of .* did not return in time", shown), shown
    assert "log info: request /hang" in shown


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (
            "test_marker",
            r"pytest.mark.pwasm: unknown argument cluters; known arguments: after, before, cluster_metadata,",
        ),
        ("test_refused", r"the plugin refused to start:\nconfiguration: Expecting property name"),
        ("test_not_refused", "the plugin started"),
        ("test_handler", "ValueError: in the handler"),
        ("test_never", r"the end of the world did not happen within 0.1 s: \[\]"),
    ],
)
def test_messages(emulated: tuple[str, dict[str, str]], test: str, text: str) -> None:
    tier, said = emulated
    assert "During handling of the above" not in said[f"{test}[{tier}]"], "it is shown once"
    assert re.search(text, said[f"{test}[{tier}]"]), said[f"{test}[{tier}]"]


@pytest.fixture(scope="module")
def in_envoy(folder: Path, run_pytest: Run) -> dict[str, str]:
    said = run_pytest(folder, "--pwasm-tier=envoy").stdout
    assert "2 passed" in said, said
    return sections(said)


@pytest.mark.envoy
@pytest.mark.wasm
def test_what_envoy_s_filter_saw_is_shown(in_envoy: dict[str, str]) -> None:
    shown = in_envoy["test_wrong[envoy]"]
    expected = [
        "what the filter saw",
        r"proxy_on_request_headers\(\d+, \d+, 1\)\n",
        "    log info: request /call/auth\n",
        r"    http_call\(.*\)\n",
        "→ PAUSE\n",
        "statistics",
        "wasmcustom.worlds_requests: 1\n",
        "configuration",
        "cluster auth: port ",
    ]
    assert re.search(".*".join(expected), shown, re.DOTALL), shown


@pytest.mark.envoy
@pytest.mark.wasm
def test_a_filter_that_hangs_in_envoy_is_named_and_the_next_test_has_another_envoy(in_envoy: dict[str, str]) -> None:
    assert re.search(r"proxy_on_request_headers\(.*\) did not return", in_envoy["test_hangs[envoy]"])


@pytest.mark.envoy
@pytest.mark.wasm
def test_a_crash_is_shown_with_its_stack(in_envoy: dict[str, str]) -> None:
    shown = in_envoy["test_dies[envoy]"]
    assert "Envoy exited with signal 11 (SIGSEGV)" in shown
    assert "Caught Segmentation fault" in shown
    assert re.search(r"#\d+: ", shown), shown
    assert "mutates state" not in shown


@pytest.mark.envoy
@pytest.mark.wasm
@pytest.mark.parametrize(
    ("test", "text"),
    [
        ("test_refused", "configuration: Expecting property name"),
        ("test_not_refused", "the plugin started"),
        ("test_handler", "ValueError: in the handler"),
        ("test_never", r"the end of the world did not happen within 0.1 s: \[\]"),
    ],
)
def test_messages_in_envoy(in_envoy: dict[str, str], test: str, text: str) -> None:
    assert re.search(text, in_envoy[f"{test}[envoy]"]), in_envoy[f"{test}[envoy]"]


# --- what is missing or broken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 0, r"SKIPPED .* the envoy tier needs an Envoy: .*is not an executable program"),
        (["--pwasm-require"], 1, r"the envoy tier needs an Envoy: .*is not an executable program.*\(--pwasm-require\)"),
    ],
)
def test_a_missing_envoy(folder: Path, run_pytest: Run, arguments: list[str], status: int, text: str) -> None:
    ran = run_pytest(folder, "--pwasm-tier=envoy", "-rs", "-k", "after_a_hang", *arguments, PWASM_ENVOY="no-envoy")
    assert ran.returncode == status
    assert re.search(text, ran.stdout, re.DOTALL), ran.stdout


NO_WASMTIME = """
import importlib.util

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "wasmtime" else found(name, *more)
"""


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 0, r"SKIPPED .* the wasm tier needs wasmtime: pip install wasmtime"),
        (["--pwasm-require"], 1, r"the wasm tier needs wasmtime: pip install wasmtime \(--pwasm-require\)"),
    ],
)
def test_a_missing_wasmtime(tmp_path: Path, run_pytest: Run, arguments: list[str], status: int, text: str) -> None:
    (tmp_path / "conftest.py").write_text(NO_WASMTIME)
    (tmp_path / "filter.py").write_text("import pwasm\n\npwasm.set_http_context(pwasm.HttpContext)\n")
    (tmp_path / "test_it.py").write_text("def test_it(pwasm_world):\n    pass\n")
    ran = run_pytest(tmp_path, "--pwasm-tier=wasm", "-rs", *arguments)
    assert ran.returncode == status, ran.stdout
    assert re.search(text, ran.stdout, re.DOTALL), ran.stdout


@pytest.mark.wasm
@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (b"", "broken.wasm: "),
        (b"\0asm\1\0\0\0\xff\xff", "broken.wasm: "),
        (None, "which does not exist"),
    ],
    ids=["empty", "cut", "missing"],
)
def test_a_broken_module(tmp_path: Path, run_pytest: Run, contents: bytes | None, text: str) -> None:
    if contents is not None:
        (tmp_path / "broken.wasm").write_bytes(contents)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.pwasm(filter='broken.wasm')\ndef test_it(pwasm_world): pass\n"
    )
    ran = run_pytest(tmp_path, "--pwasm-tier=python,wasm")
    assert ran.returncode == 1
    assert "1 error" in ran.stdout  # there is no python tier for it
    assert text in ran.stdout
    assert "Traceback" not in ran.stdout


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--pwasm-tier=rust", "--pwasm-tier: 'rust' is not a list of python, wasm, envoy"),
        ("--pwasm-timeout=long", "--pwasm-timeout: give a number of seconds"),
    ],
)
def test_wrong_options(folder: Path, run_pytest: Run, option: str, text: str) -> None:
    ran = run_pytest(folder, option)
    assert ran.returncode == 4
    assert text in ran.stderr
