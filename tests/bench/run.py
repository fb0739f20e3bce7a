"""Starts the benchmark: `python tests/bench/run.py [--quick] [--json FILE] [--publish]`."""

import importlib
import sys
from pathlib import Path

# As a script this file's folder is on the path, as the package `tests.bench` it must be that of the repository.
sys.path[0] = str(Path(__file__).resolve().parents[2])
sys.exit(importlib.import_module("tests.bench.cli").main(sys.argv[1:]))
