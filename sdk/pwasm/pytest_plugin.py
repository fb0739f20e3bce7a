"""pytest plugin: the fixture `pwasm_host`.

Loaded in every pytest run where pwasm is installed, so it imports nothing of pwasm before the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pwasm.testing import HostEmulator


@pytest.fixture
def pwasm_host() -> type[HostEmulator]:
    """Makes hosts: `pwasm_host(AddHeader, plugin_configuration=b"…")`; see `pwasm.testing.HostEmulator`."""
    from pwasm.testing import HostEmulator

    return HostEmulator
