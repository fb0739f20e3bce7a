"""Starts the soak runs: `python tests/soak/run.py [--only NAME]… [--minutes N] [--short] [--output FILE]`."""

import importlib
import sys
from pathlib import Path

# As a script this file's folder is on the path, as the package `soak` it must be the folder above.
sys.path[0] = str(Path(__file__).resolve().parents[1])
sys.exit(importlib.import_module("soak.cli").main(sys.argv[1:]))
