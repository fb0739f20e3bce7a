"""Recursion of generated kinds: everything that can be done with everything that can be made of itself.

`tests/projects/deep_generated` finds the towers inside of the module; here each of them is asked for all its
operations, and what loses the VM is narrowed to one operation.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from pwasm.testing.worlds.filters import built_module
from pwasm_compiler.envoy.config import HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

from .outcome import Outcome

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "deep_generated"
_SECONDS = 300
_LOG_SECONDS = 0.3
_SHOWN = 2000
_TOO_LONG = "TimeBudgetExceeded"


def run(*, step: int = 1, depth: int = 3000, executable: Path | None = None) -> Outcome:
    """Ask every `step`-th tower of so many floors."""
    outcome = Outcome("towers", f"every {step}. tower, of {depth:,} floors")
    ended: Counter[str] = Counter()
    with _World(executable) as world:
        towers, operations = world.ask("")
        for tower in towers[::step]:
            try:
                ended.update(world.ask(f"{tower}?{depth}"))
            except OSError as error:
                seen = world.seen(error)
                if _TOO_LONG in seen:  # the VM lives
                    ended[_TOO_LONG] += 1
                    continue
                world.start_again()
                lost = [one for one in operations if world.loses(f"{tower}?{depth}?{one}")]
                outcome.problems.append(f"{tower}: {', '.join(lost) or 'not repeated'}; {seen[:_SHOWN]}")
    outcome.figure("towers", f"{len(towers[::step])} of {len(towers):,}, {len(operations)} operations each")
    for how, count in ended.most_common():
        outcome.figure(f"operations that ended with {how}" if how != "done" else "operations that succeeded", count)
    return outcome


class _World:
    """An Envoy that is started again when its VM is lost."""

    def __init__(self, executable: Path | None) -> None:
        self._executable, self._module = executable, built_module(PROJECT)

    def __enter__(self) -> _World:
        config = bootstrap([HttpListener([WasmFilter(self._module, name="deep")])])
        self._envoy = Envoy(config, executable=self._executable)
        self._envoy.__enter__()
        self._address = self._envoy.listeners()["http"]
        return self

    def __exit__(self, *exception: object) -> None:
        self._envoy.__exit__(None, None, None)

    def start_again(self) -> None:
        """With a new VM."""
        self.__exit__()
        self.__enter__()

    def ask(self, what: str) -> Any:
        """The answer of the filter.

        Raises:
            OSError: the VM is lost.
        """
        request = urllib.request.Request("http://{}:{}/".format(*self._address), headers={"x-tower": what})
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return json.loads(response.read())

    def seen(self, error: OSError) -> str:
        """What is known about a request that was not answered: its error, and the end of Envoy's log."""
        time.sleep(_LOG_SECONDS)
        body = error.read() if isinstance(error, HTTPError) else b""
        return f"{error!r} {body!r}, then {[record.text for record in self._envoy.log[-3:]]}"

    def loses(self, what: str) -> bool:
        """Whether this question loses the VM; there is another one afterwards."""
        try:
            self.ask(what)
        except OSError:
            time.sleep(_LOG_SECONDS)
            self.start_again()
            return True
        return False
