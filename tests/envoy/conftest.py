"""Envoys by version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import envoy_versions


@pytest.fixture(scope="session")
def envoy_of() -> Callable[[str], Path | None]:
    """`envoy_of("newest")` is None, the driver's own choice; `envoy_of("oldest")` a binary installed on first use."""

    def get(which: str) -> Path | None:
        return None if which == "newest" else envoy_versions.binary_of(envoy_versions.OLDEST)

    return get
