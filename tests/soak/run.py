"""Starts the soak runs: `python tests/soak/run.py [--only NAME]… [--minutes N] [--short] [--output FILE]`."""

import importlib
import sys
from pathlib import Path

# As a script this file's folder is on the path, as the package `tests.soak` it must be the folder above `tests`.
sys.path[0] = str(Path(__file__).resolve().parents[2])
sys.exit(importlib.import_module("tests.soak.cli").main(sys.argv[1:]))
