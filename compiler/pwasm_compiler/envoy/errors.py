"""What can go wrong with a real Envoy.

EnvoyError
├── EnvoyNotFoundError   there is none; `hint` says how to install one
├── EnvoyExitedError     it exited by itself: a rejected configuration, or a crash
└── EnvoyTimeoutError    it did not become ready, or did not log the expected message
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from pwasm_compiler.envoy.log import LogRecord

_LINES = 20
_HINTS = (
    ("envoy.wasm.runtime.v8 runtime. Envoy was compiled without", "this build of Envoy has no Wasm; use another one"),
)
"""Messages that Envoy logs below level error, and what they mean."""


class EnvoyError(Exception):
    """An error with the log up to that moment in `log`; its text ends with the log's last lines."""

    def __init__(self, what: str, log: Sequence[LogRecord] = (), *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.log = tuple(log)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what, *(f"hint: {hint}" for hint in (self.hint,) if hint), *self.last_lines()]
        return "\n".join(lines)

    def last_lines(self, *, of_filters: bool = True) -> list[str]:
        """The last lines of the log; those of level error and above if there are any."""
        records = [record for record in self.log if of_filters or not record.from_filter]
        records = [record for record in records if not _is_stack_frame(record)]
        records = [record for record in records if record.at_least("error") or not record.level] or records
        return [line for record in records[-_LINES:] for line in record.raw.splitlines()][-_LINES:]


class EnvoyNotFoundError(EnvoyError):
    """There is no Envoy to start."""


class EnvoyExitedError(EnvoyError):
    """Envoy exited by itself; `returncode` is its exit code, negative for a signal."""

    def __init__(self, returncode: int, log: Sequence[LogRecord] = ()) -> None:
        hint = next((hint for said, hint in _HINTS if any(said in record.message for record in log)), "")
        super().__init__(f"Envoy exited with {describe_exit(returncode)}", log, hint=hint)
        self.returncode = returncode


class EnvoyTimeoutError(EnvoyError):
    """Envoy did not do what was expected in time."""


def _is_stack_frame(record: LogRecord) -> bool:
    """Whether this is an address in Envoy's own code, which is meaningless without Envoy's symbols."""
    return record.component == "backtrace" and record.message.startswith("#")


def describe_exit(returncode: int) -> str:
    """`exit code 1` or `signal 11 (SIGSEGV)`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {-returncode} ({signal.Signals(-returncode).name})"
    except ValueError:
        return f"signal {-returncode}"
