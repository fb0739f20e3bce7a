"""Builds one pwasm filter and prints the stages as JSON: `python build_once.py FOLDER OUTPUT`.

A process of its own, so that a build is timed as a user sees it: with the start of Python and all imports.
"""

import json
import sys
from pathlib import Path

from pwasm_compiler.build.pipeline import build
from pwasm_compiler.project import load_project

artifact = build(load_project(Path(sys.argv[1])), Path(sys.argv[2]))
print(json.dumps(dict(artifact.stages)))
