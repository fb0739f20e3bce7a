"""Lengths, codings and statuses that do not fit the message: refused in every tier, and shown if they are not."""

from __future__ import annotations

import pytest

from pwasm.testing import World

pytestmark = pytest.mark.pwasm(filter="../../../projects/framing")
SMUGGLED = b"GET /admin HTTP/1.1\r\nhost: internal\r\n\r\n"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_without_a_body_has_none(pwasm_world: World, status: int) -> None:
    response = pwasm_world.request("GET", f"/{status}")
    assert (response.status, response.body, response.complete) == (status, b"", True)
    assert response.headers["x-outcome"].startswith("ValueError: body: ")
    assert pwasm_world.request("GET", "/second").text == "hello from upstream"


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_response_with_a_body_keeps_its_status(pwasm_world: World, status: int) -> None:
    response = pwasm_world.request("GET", f"/status/{status}")
    assert (response.status, response.text) == (200, "hello from upstream")
    assert response.headers["x-outcome"].startswith("ValueError: value: ")


@pytest.mark.parametrize(("path", "says"), [("/length", "RFC 9110 § 8.6"), ("/coding", "RFC 9112 § 6.1")])
def test_a_get_has_no_length(pwasm_world: World, path: str, says: str) -> None:
    response = pwasm_world.request("GET", path)
    assert response.status == 200
    assert says in response.headers["x-outcome"]
    (sent,) = pwasm_world.upstream.requests
    assert not {"content-length", "transfer-encoding"} & {name for name, _ in sent.headers}


def test_head_stays_head(pwasm_world: World) -> None:
    response = pwasm_world.request("HEAD", "/method")
    assert (response.status, response.body) == (200, b"")
    assert "RFC 9110 § 9.3.2" in response.headers["x-outcome"]
    assert [received.method for received in pwasm_world.upstream.requests] == ["HEAD"]


@pytest.mark.pwasm(clusters={"auth": 200})
def test_names_of_grpc(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/grpc").headers["x-outcome"] == " ".join(["ValueError"] * 5)
    assert pwasm_world.clusters["auth"].requests == []


@pytest.mark.pwasm(root_id="edits")
def test_one_request_in_and_not_two_out(pwasm_world: World) -> None:
    response = pwasm_world.request("POST", "/", body=b"short")
    assert response.status == 500
    assert "edits_request_body = True" in pwasm_world.logs("error")[0]
    pwasm_world.advance(0.2)
    assert not any(received.path == "/admin" for received in pwasm_world.upstream.requests)


@pytest.mark.pwasm(root_id="edits")
def test_without_content_length_a_body_may_change(pwasm_world: World) -> None:
    assert pwasm_world.request("POST", "/", body=[b"sh", b"ort"]).status == 200
    assert [received.body for received in pwasm_world.upstream.requests] == [b"short" + SMUGGLED]


@pytest.mark.parametrize(
    "_", [pytest.param(None, marks=pytest.mark.pwasm(root_id=name), id=name) for name in ("declares", "removes")]
)
def test_one_request_in_and_one_out(pwasm_world: World, _: None) -> None:
    assert pwasm_world.request("POST", "/", body=b"short").status == 200
    pwasm_world.advance(0.2)
    assert [received.body for received in pwasm_world.upstream.requests] == [b"short" + SMUGGLED]


# --- what a module that asks the host itself gets -----------------------------------------------------------------


def test_upstream_waits_for_a_body_that_was_announced(pwasm_world: World) -> None:
    response = pwasm_world.request("GET", "/raw/length", timeout=0.5)
    assert (response.status, response.complete) == (None, False)
    assert pwasm_world.upstream.requests == []


def test_upstream_sees_a_second_request(pwasm_world: World) -> None:
    assert pwasm_world.request("POST", "/raw/body", body=b"short").status == 200
    pwasm_world.eventually(lambda: len(pwasm_world.upstream.requests) == 2, "the second request")
    assert [received.path for received in pwasm_world.upstream.requests] == ["/raw/body", "/admin"]


def test_bytes_after_a_response_are_an_error(pwasm_world: World) -> None:
    with pytest.raises(AssertionError, match=r"next response to be b'HTTP/1\.1 200 OK.*injected"):
        pwasm_world.request("GET", "/raw/204")


def test_a_body_in_the_response_to_head_is_an_error(pwasm_world: World) -> None:
    with pytest.raises(AssertionError, match="next response to be b'hello from upstream'"):
        pwasm_world.request("HEAD", "/raw/method")
