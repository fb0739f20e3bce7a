"""A real Envoy for tests: start it, wait for it, query it, stop it.

    with Envoy(bootstrap) as envoy:
        envoy.wait_ready()

`pwasm run` uses the same driver, so it lives in the compiler (`pwasm_compiler.envoy`); this is its public name.
"""

from __future__ import annotations

from pwasm_compiler.envoy.errors import EnvoyError, EnvoyExitedError, EnvoyNotFoundError, EnvoyTimeoutError
from pwasm_compiler.envoy.log import LogRecord
from pwasm_compiler.envoy.process import Envoy, find_envoy

__all__ = [
    "Envoy",
    "EnvoyError",
    "EnvoyExitedError",
    "EnvoyNotFoundError",
    "EnvoyTimeoutError",
    "LogRecord",
    "find_envoy",
]
