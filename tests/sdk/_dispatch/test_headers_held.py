"""What a module's record says about holding headers, for each `root_id`."""

from __future__ import annotations

import pytest

import pwasm
from pwasm._dispatch.exports import headers_held
from pwasm._stream.registration import Entry, Registration


class Plain(pwasm.HttpContext):
    pass


class Buffers(pwasm.HttpContext):
    buffer_response_body = True


class Holds(Buffers):
    holds_request_headers = True


class HoldsResponse(pwasm.HttpContext):
    holds_response_headers = True


def make() -> Holds:
    return Holds()


def registration(factory: object, **named: object) -> Registration:
    def one(made: object) -> Registration:
        return Registration(http=None if made is None else Entry(made, False, ""))  # type: ignore[arg-type]

    return one(factory)._replace(named=tuple((root_id, one(made)) for root_id, made in named.items()))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (registration(Plain), {}),
        (registration(None), {}),
        (registration(make), {}),
        (registration(Buffers), {"": "wanted"}),
        (registration(Holds), {"": "required"}),
        (registration(HoldsResponse), {"": "required"}),
        (registration(Plain, check=Holds, log=Buffers), {"": None, "check": "required", "log": "wanted"}),
        (registration(Holds, log=Plain, make=make), {"": "required", "log": None, "make": None}),
        (registration(None, check=Holds), {"": None, "check": "required"}),
        # A root_id with nothing for HTTP gets the class without one.
        (registration(Buffers, other=None), {"": "wanted", "other": "wanted"}),
    ],
)
def test_what_each_root_id_needs(found: Registration, expected: dict[str, str | None]) -> None:
    assert headers_held(found) == expected
