"""Each filter's test imports `filter`, and each filter has one: the module that is meant is the one beside the test.

In its own folder a filter needs none of this; this is for running the tests of all filters in one process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pwasm.entrypoint import clear_registration

HERE = Path(__file__).parent


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Before a test module is imported: its folder comes first, and those of the last one are forgotten."""
    if isinstance(collector, pytest.Module) and collector.path.is_relative_to(HERE):
        clear_registration()
        sys.path[:] = [entry for entry in sys.path if not Path(entry).is_relative_to(HERE)]
        sys.path.insert(0, str(collector.path.parent))
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if file and Path(file).is_relative_to(HERE) and Path(file).parent != HERE:
                del sys.modules[name]
