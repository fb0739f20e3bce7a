"""Mistakes of an author that would show nothing but a test that fails: what their test says instead."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TEST = """
def test_it(pwasm_world):
    assert pwasm_world.request().status == 403
"""
# name → the class's body, and what is said.
MISTAKES = {
    "typo": (
        ["def on_http_request_header(self, num_headers, end_of_stream):", "    pwasm.send_http_response(403)"],
        [
            "filter.py:5: Mine.on_http_request_header is not a callback of HttpContext; "
            "did you mean on_http_request_headers?"
        ],
    ),
    "arity": (
        ["def on_http_request_headers(self, num_headers):", '    pwasm.log_info(f"{num_headers} headers")'],
        [
            "filter.py:5: Mine.on_http_request_headers cannot be called as (self, num_headers); "
            "it must be on_http_request_headers(self, num_headers: int, end_of_stream: bool)"
        ],
    ),
    "misspelt_attribute": (
        ['on_eror = "fail_open"', "buffer_requst_body = True"],
        [
            "filter.py:5: Mine.on_eror is not a setting of HttpContext; did you mean on_error?",
            "filter.py:6: Mine.buffer_requst_body is not a setting of HttpContext; did you mean buffer_request_body?",
        ],
    ),
}


def written(folder: Path, body: list[str], test: str) -> Path:
    """A filter and its test."""
    lines = ["import pwasm", "", "", "class Mine(pwasm.HttpContext):", *(f"    {line}" for line in body)]
    (folder / "filter.py").write_text("\n".join([*lines, "", "", "pwasm.set_http_context(Mine)", ""]))
    (folder / "test_filter.py").write_text(test)
    return folder


@pytest.mark.parametrize("tier", ["python", pytest.param("wasm", marks=pytest.mark.wasm)])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_name_is_what_the_test_says(tmp_path: Path, run_pytest: Run, tier: str, name: str) -> None:
    body, said = MISTAKES[name]
    ran = run_pytest(written(tmp_path, body, TEST), f"--pwasm-tier={tier}")
    assert ran.returncode == 1
    for line in said:
        assert line in ran.stdout, ran.stdout
    assert "_names.py" not in ran.stdout, "no traceback through the SDK"
