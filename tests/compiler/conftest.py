"""A real component, read once a session."""

from __future__ import annotations

import pytest

from pwasm_compiler.guest.base import load_base


@pytest.fixture(scope="session")
def component() -> bytes:
    """What componentize-py hands out."""
    return load_base().component
