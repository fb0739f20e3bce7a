"""Starts the benchmark: `python tests/bench/run.py [--quick] [--json FILE] [--chart FILE]`."""

import importlib
import sys
from pathlib import Path

# As a script this file's folder is on the path, as the package `bench` it must be the folder above.
sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.exit(importlib.import_module("bench.cli").main(sys.argv[1:]))
