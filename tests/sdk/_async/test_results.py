"""The results of calls, as they are decoded."""

from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pwasm._async.results import percent_decoded


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", ""),
        (b"not you{via_upstream}", "not you{via_upstream}"),
        (b"50%25 of 10%0Acaf%C3%a9", "50% of 10\ncafé"),
        (b"100%", "100%"),
        (b"%zz%4%41", "%zz%4A"),
        (b"%e9", "\udce9"),
    ],
)
def test_messages(message: bytes, text: str) -> None:
    assert percent_decoded(message) == text


@given(st.binary())
def test_anything_is_decoded(message: bytes) -> None:
    assert len(percent_decoded(message)) <= len(message)


@given(st.text())
def test_what_is_encoded_is_decoded(text: str) -> None:
    assert percent_decoded(urllib.parse.quote(text, safe=" ~").encode()) == text
