"""The keys of a VM: fetched from a service when a request needs them, and cached for some time."""

from dataclasses import dataclass, field
from typing import Annotated

import jws

import pwasm
from pwasm import aio
from pwasm.config import Range

SECOND = 1_000_000_000
LONG_AGO = -(2**62)


@dataclass
class Source:
    """The service that publishes the keys, and how often to ask it."""

    cluster: str = "jwks"
    path: str = "/.well-known/jwks.json"
    timeout_ms: Annotated[int, Range(1, 60_000)] = 1000
    cache_seconds: Annotated[int, Range(1, 86_400)] = 300
    retry_seconds: Annotated[int, Range(1, 3600)] = field(
        default=10, metadata={"description": "Minimum interval between requests to the service."}
    )


class KeyCache:
    """Keys by algorithm and name, from `source`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.keys: jws.Keys = {}
        self.fetched = self.tried = LONG_AGO
        self.fetching = False

    async def find(self, algorithm: str, kid: str) -> jws.Key | None:
        """The key with this name; without a name, the only key for the algorithm."""
        await self._refresh(self.source.cache_seconds)
        key = self._known(algorithm, kid)
        if key is None:  # it may be new
            await self._refresh(self.source.retry_seconds)
            key = self._known(algorithm, kid)
        return key

    def _known(self, algorithm: str, kid: str) -> jws.Key | None:
        candidates = [key for name, key in self.keys.items() if name == (algorithm, kid or name[1])]
        return candidates[0] if len(candidates) == 1 else None

    async def _refresh(self, max_age: int) -> None:
        """Fetch the keys if they are older: one request does so, and the others wait for it."""
        while self.fetching:
            await aio.sleep(0.005)
        now, patience = pwasm.get_current_time_nanoseconds(), self.source.retry_seconds * SECOND
        if now - self.fetched < max_age * SECOND or now - self.tried < patience:
            return
        self.fetching, self.tried = True, now
        try:
            self.keys = await self._fetch()
            self.fetched = now
        except (aio.CalloutError, jws.Invalid) as error:
            pwasm.log_warn("no new keys: %s", error)
            if now - self.fetched > 2 * self.source.cache_seconds * SECOND:
                self.keys = {}  # a revoked key must not stay valid because the service is down
        finally:
            self.fetching = False  # also if the client whose request fetches disconnects

    async def _fetch(self) -> jws.Keys:
        source = self.source
        ask = [(":method", "GET"), (":path", source.path), (":authority", source.cluster)]
        answer = await aio.dispatch_http_call(source.cluster, ask, timeout_ms=source.timeout_ms)
        if answer.status != 200:
            raise jws.Invalid(f"{source.cluster} answered {answer.status}")
        return jws.keys_of(answer.body)
