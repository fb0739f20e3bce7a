"""Fuzz the decoders with atheris: `python tests/fuzz/run.py [TARGET …] --seconds 900`.

One target after the other, each in a process of its own that may use 512 MB and 5 s for an input. What is worth
keeping goes to .fuzz/<target>/ and is where the next run starts; an input that fails is printed and kept as
tests/fuzz/regressions/<target>/<digest>, which test_replay.py replays from then on. Exit code 1 when there was one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE.parents[1] / ".fuzz"
RSS_MIB, SECONDS = 512, 5
sys.path[0] = str(HERE.parents[1])  # as a script this file's folder is on the path
INSTRUMENTED = ["pwasm", "pwasm_compiler", "yaml", "tomllib", "tarfile"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of them")
    parser.add_argument("--seconds", type=int, default=900, help="for each target (default: 900)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args()
    if arguments.worker:
        return _fuzz(arguments.targets[0], rest)
    names = arguments.targets or _names()
    unknown = sorted(set(names) - set(_names()))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(_names())}")
    return max(_run(name, arguments.seconds) for name in names)


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def _run(name: str, seconds: int) -> int:
    from tests.fuzz.targets import TARGETS

    corpus, found = CORPUS / name, HERE / "regressions" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    before = set(found.iterdir())
    start = time.monotonic()
    command = [sys.executable, __file__, "--worker", name, f"-max_total_time={seconds}", f"-rss_limit_mb={RSS_MIB}"]
    command += [f"-timeout={SECONDS}", f"-max_len={TARGETS[name].size}", f"-artifact_prefix={found}/", str(corpus)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    covered = [line for line in done.stderr.splitlines() if line.startswith("#") and "cov:" in line]
    runs = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
    new = sorted(set(found.iterdir()) - before)
    print(f"{name}: {time.monotonic() - start:.0f} s, {' '.join([*runs, *covered[-1:]])}", flush=True)
    if done.returncode:
        print(done.stderr[-3000:], flush=True)
    for path in new:
        print(f"  failing input: {path}", flush=True)
    return int(done.returncode != 0)


def _fuzz(name: str, options: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
