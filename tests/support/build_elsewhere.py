"""Builds one filter in a process of its own: `python build_elsewhere.py FOLDER OUTPUT DAYS [HASH_SEED]`.

The process sees a clock that is DAYS off. Prints the build's JSON.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

folder, output, days, *seed = sys.argv[1:]
_real = {name: getattr(time, name) for name in ("time", "time_ns", "localtime", "gmtime")}
_off = int(days) * 86400
time.time = lambda: _real["time"]() + _off
time.time_ns = lambda: _real["time_ns"]() + _off * 10**9
time.localtime = lambda seconds=None: _real["localtime"](time.time() if seconds is None else seconds)
time.gmtime = lambda seconds=None: _real["gmtime"](time.time() if seconds is None else seconds)

from pwasm_compiler.build.pipeline import build  # noqa: E402  after the clock was set
from pwasm_compiler.project import load_project  # noqa: E402

project = dataclasses.replace(load_project(Path(folder)), hash_seed=int(seed[0]) if seed else None)
artifact = build(project, Path(output))
print(json.dumps({"sha256": artifact.sha256, "hash_seed": artifact.hash_seed, "prints": artifact.prints}))
