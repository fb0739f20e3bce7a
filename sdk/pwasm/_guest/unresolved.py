"""Says which modules a VM was asked for and does not have, so that tests can compare it with CPython.

A VM has no files: what was not imported while the snapshot was taken cannot be imported later. Whoever asks may handle
that, and then nothing is seen of it, although the filter does something else than in CPython.
"""

from __future__ import annotations

import sys

from .._abi import LogLevel
from .._typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .._protocols import Host

UNRESOLVED: Final = "pwasm: no module here is named "
"""The beginning of the record, which is one of level TRACE: proxies drop it by default."""


class Finder:
    """Asked after all others."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> None:
        """Log the name."""
        self._host.proxy_log(LogLevel.TRACE, UNRESOLVED + name)


def install(host: Host) -> None:
    """Ask a `Finder` from now on."""
    sys.meta_path.append(Finder(host))
