"""rate_limit: limits the number of requests of each client in a period, counted across all workers.

It is a token bucket stored as a single number: the time at which the bucket is full again (ITU-T I.371 calls this
GCRA). A request moves it forward by the time that one token takes; a client whose time is too far ahead has to wait.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import pwasm
from pwasm import Action, CasMismatch, HttpContext, PluginContext, properties
from pwasm.config import Range

SECOND = 1_000_000_000
ABSENT = 2**32 - 1
"""Envoy writes a missing key with any `cas`, and an existing one only with its own; no key ever has this one."""
MOST_TRIES = 100  # each failure is another worker's success, so this many in a row do not happen


@dataclass
class Config:
    """The limit, and how clients are told apart."""

    requests: Annotated[int, Range(1, 1_000_000)]
    seconds: Annotated[float, Range(0.001, 86_400)] = 1.0
    burst: Annotated[int, Range(0, 1_000_000)] = field(
        default=0, metadata={"description": "Maximum number of requests in a burst; 0: the value of `requests`."}
    )
    header: str = field(default="", metadata={"description": "The header that identifies clients; else the address."})
    slots: Annotated[int, Range(1, 1_000_000)] = 65_536
    name: str = field(default="rate_limit", metadata={"description": "Plugins with the same name count together."})


class Verdict(NamedTuple):
    """The decision on a request."""

    allowed: bool
    remaining: int
    wait_ns: int
    full_ns: int


class Limiter(PluginContext):
    """The buckets, in shared data.

    Envoy never frees a key, and clients choose theirs, so there is a fixed number of slots, and a hash assigns clients
    to them. Two clients in the same slot share a budget; the hash is keyed, so that clients cannot provoke this.
    """

    config: Config

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        config = self.config
        self.burst = config.burst or config.requests
        self.interval = max(int(config.seconds * SECOND) // config.requests, 1)
        secret = f"{config.name}/secret"
        with contextlib.suppress(CasMismatch):
            pwasm.set_shared_data(secret, os.urandom(16), ABSENT)
        self.secret = pwasm.get_shared_data(secret)[0] or b""

    def slot(self, client: str) -> str:
        """The key of a client's bucket."""
        digest = hashlib.blake2s(client.encode(errors="surrogateescape"), key=self.secret, digest_size=8).digest()
        return f"{self.config.name}/{int.from_bytes(digest) % self.config.slots}"

    def take(self, client: str) -> Verdict:
        """Take a token out of a client's bucket, if there is one."""
        slot, now = self.slot(client), pwasm.get_current_time_nanoseconds()
        for _ in range(MOST_TRIES):
            value, cas = pwasm.get_shared_data(slot)
            # Not in the past, and not beyond an empty bucket, in case the clock was set back.
            full = min(max(int.from_bytes(value or b""), now), now + self.burst * self.interval)
            left = self.burst + (now - full) // self.interval
            if left < 1:
                return Verdict(False, 0, full + self.interval - self.burst * self.interval - now, full - now)
            full += self.interval
            try:
                pwasm.set_shared_data(slot, full.to_bytes(8), cas or ABSENT)
            except CasMismatch:
                continue  # another worker was faster: start over with its number
            return Verdict(True, left - 1, 0, full - now)
        pwasm.log_warn("too much contention at %s", slot)
        return Verdict(True, 0, 0, 0)


class RateLimit(HttpContext):
    plugin: Limiter
    verdict: Verdict | None = None

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        verdict = self.verdict = self.plugin.take(self.client())
        if verdict.allowed:
            return Action.CONTINUE
        pwasm.send_http_response(429, {"retry-after": seconds(verdict.wait_ns)}, "too many requests\n")
        return Action.PAUSE

    def client(self) -> str:
        """The client whose budget this request uses: the value of the header, or the address without its port."""
        name = self.plugin.config.header
        given = pwasm.get_http_request_header(name) if name else None
        return f"h:{given}" if given else f"a:{(properties.source.address or '').rpartition(':')[0]}"

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if self.verdict is None:
            return  # an earlier filter has answered the request
        self.response.headers["x-ratelimit-limit"] = str(self.plugin.burst)
        self.response.headers["x-ratelimit-remaining"] = str(self.verdict.remaining)
        self.response.headers["x-ratelimit-reset"] = seconds(self.verdict.full_ns)


def seconds(nanoseconds: int) -> str:
    """Whole seconds, rounded up, so that a client that waits that long is not too early."""
    return str(-(-nanoseconds // SECOND))


pwasm.set_plugin_context(Limiter)
pwasm.set_http_context(RateLimit)
