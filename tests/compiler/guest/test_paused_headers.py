"""Headers callbacks that pause and that nothing resumes, found in the sources; and what is not one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.guest import paused_headers
from tests.support.command_line import Pwasm
from tests.support.facts import facts_of

ROUTER = """\
import pwasm
from pwasm import Action

class Router(pwasm.HttpContext):
    buffer_request_body = True

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE if end_of_stream else Action.PAUSE

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        if not self.request.body:
            pwasm.send_http_response(400)
        return Action.CONTINUE
"""
WARNING = (
    "filter.py:8: on_http_request_headers returns PAUSE and nothing resumes the request:"
    " to change headers after seeing the body, set holds_request_headers = True and return CONTINUE"
)


def never_resumed(sources: dict[str, str], own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(paused_headers.never_resumed({path: facts_of(text) for path, text in sources.items()}, own))


def first_awaited_body(text: str) -> str:
    return paused_headers.first_awaited_body({"filter.py": facts_of(text)}, ("filter.py",))


def warned(text: str, *, own: tuple[str, ...] = ("filter.py",), **more: str) -> tuple[str, ...]:
    sources = {"filter.py": text, **{name.replace("__", "/") + ".py": source for name, source in more.items()}}
    return never_resumed(sources, own)


def test_the_case_of_the_model_router() -> None:
    assert warned(ROUTER) == (WARNING,)


def test_responses_too() -> None:
    assert warned(ROUTER.replace("request", "response").replace("self.response.body", "size")) == (
        WARNING.replace("request", "response"),
    )


def headers(body: str, rest: str = "") -> str:
    """`ROUTER` with another body of its headers callback."""
    return ROUTER.replace(
        "        return Action.CONTINUE if end_of_stream else Action.PAUSE\n",
        textwrap.indent(textwrap.dedent(body), " " * 8),
    ) + textwrap.dedent(rest)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (headers("return pwasm.Action.PAUSE\n"), 8),
        (headers("if end_of_stream:\n    return Action.CONTINUE\nreturn Action.PAUSE\n"), 10),
        (
            headers(
                "match num_headers:\n    case None:\n        return Action.PAUSE\n    case _:\n        return None\n"
            ),
            10,
        ),
        (headers("try:\n    pass\nfinally:\n    action = Action.PAUSE\nreturn action\n"), 11),
        # One branch answers, the other does not.
        (
            headers(
                "if num_headers:\n    pwasm.send_http_response(403)\n    return Action.PAUSE\nreturn Action.PAUSE\n"
            ),
            11,
        ),
    ],
)
def test_where_it_pauses(text: str, line: int) -> None:
    assert warned(text) == (WARNING.replace(":8:", f":{line}:"),)


NOT_CERTAIN: dict[str, str] = {
    "it answers": headers("pwasm.send_http_response(403)\nreturn Action.PAUSE\n"),
    "it answers through another function": headers(
        "self.deny()\nreturn Action.PAUSE\n",
        "\n    def deny(self):\n        refuse()\n\ndef refuse():\n    pwasm.send_http_response(403)\n",
    ),
    "it closes": headers("pwasm.close_http_request()\nreturn Action.PAUSE\n"),
    "it never pauses": headers("return Action.CONTINUE\n"),
    "no body callback": ROUTER.replace("on_http_request_body", "on_http_response_body"),
    "the body callback resumes": ROUTER.replace("pwasm.send_http_response(400)", "pwasm.resume_http_request()"),
    "another class resumes": ROUTER + "\ndef later():\n    pwasm.resume_http_request()\n",
    "resumed by name": ROUTER + "\nlater = getattr(pwasm, 'resume_http_request')\n",
    "a callout": ROUTER + "\ndef ask():\n    pwasm.dispatch_http_call('a', [], callback=print)\n",
    "a tick": ROUTER + "\nclass Plugin(pwasm.PluginContext):\n    def on_tick(self):\n        pass\n",
    "a coroutine": ROUTER + "\nasync def later():\n    pass\n",
    "imported and renamed": "from pwasm import resume_http_request as go_on\n" + ROUTER,
    "a function in a function": headers(
        "def refuse():\n    pwasm.send_http_response(403)\n\nrefuse()\nreturn Action.PAUSE\n"
    ),
}


@pytest.mark.parametrize("reason", NOT_CERTAIN)
def test_what_may_go_on_is_not_reported(reason: str) -> None:
    assert warned(NOT_CERTAIN[reason]) == ()


def test_a_dependency_may_resume() -> None:
    assert warned(ROUTER, helper="import pwasm\npwasm.resume_http_request\n") == ()
    assert warned(ROUTER, helper="import json\n") == (WARNING,)


def test_a_body_callback_of_a_base_class_counts() -> None:
    base = "import pwasm\nclass Base(pwasm.HttpContext):\n    def on_http_request_body(self, size, end): pass\n"
    text = ROUTER.partition("    def on_http_request_body")[0].replace("pwasm.HttpContext", "base.Base")
    assert never_resumed({"filter.py": text, "base.py": base}, ("filter.py", "base.py")) == (WARNING,)
    assert never_resumed({"filter.py": text}, ("filter.py",)) == ()


def test_only_the_filters_own_files_are_reported() -> None:
    assert warned("import router\n", router=ROUTER) == ()


ASYNC = "import pwasm\nclass Check(pwasm.HttpContext):\n    async def on_http_response_body(self, size, end): pass\n"


def test_a_body_callback_that_may_wait() -> None:
    assert first_awaited_body(ASYNC) == "filter.py:3: Check.on_http_response_body"
    assert first_awaited_body(ASYNC.replace("async ", "")) == ""
    assert first_awaited_body(ASYNC.replace("_body", "_headers")) == ""


REGISTER = "\npwasm.set_http_context({})\n"
SAID: dict[str, tuple[str, str]] = {
    "paused": (ROUTER + REGISTER.format("Router"), f"warning: {WARNING}\n"),
    "required": (
        ROUTER.replace("buffer_", "holds_").replace("_body = ", "_headers = ").replace("Action.PAUSE", "None")
        + REGISTER.format("Router"),
        "note: it changes headers after seeing the body, which Istio's WasmPlugin and TrafficExtension, Envoy Gateway's"
        " EnvoyExtensionPolicy and Higress's WasmPlugin do not support by themselves; see: pwasm manifest\n",
    ),
    "async": (
        ASYNC + REGISTER.format("Check"),
        "note: filter.py:3: Check.on_http_response_body may wait: where headers are not held, as with"
        " Istio's WasmPlugin and TrafficExtension, Envoy Gateway's EnvoyExtensionPolicy and Higress's WasmPlugin,"
        " a stream cannot be held while it awaits at the end of the body, beside a later filter that pauses\n",
    ),
    "neither": (ASYNC.replace("async ", "") + REGISTER.format("Check"), ""),
}


@pytest.mark.wasm
@pytest.mark.parametrize("what", SAID)
def test_what_a_build_says(pwasm: Pwasm, component: Callable[[], bytes], tmp_path: Path, what: str) -> None:
    text, said = SAID[what]
    (tmp_path / "filter.py").write_text(text)
    result = pwasm("build", ".")
    lines = [line for line in result.err.splitlines(keepends=True) if not line.startswith("[")]
    assert (result.code, "".join(lines)) == (0, said)
