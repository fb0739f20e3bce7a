"""Bounded load from this process: keep-alive connections, every answer read and counted. Loopback only."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit


def send(
    url: str,
    requests: int,
    *,
    connections: int = 8,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Counter[int]:
    """Send `requests` requests over `connections` connections; returns how many answers had which status.

    A connection that breaks counts as status 0 and is opened again.
    """
    address = urlsplit(url)
    assert address.hostname == "127.0.0.1", "load goes to this machine only"
    counts: list[Counter[int]] = [Counter() for _ in range(connections)]

    def work(number: int) -> None:
        share = requests // connections + (number < requests % connections)
        connection = http.client.HTTPConnection("127.0.0.1", address.port or 80, timeout=30)
        for _ in range(share):
            try:
                connection.request("POST" if body else "GET", address.path or "/", body, dict(headers or {}))
                response = connection.getresponse()
                response.read()
                counts[number][response.status] += 1
            except (OSError, http.client.HTTPException):
                counts[number][0] += 1
                connection.close()
        connection.close()

    run_all([lambda number=number: work(number) for number in range(connections)])  # type: ignore[misc]
    total: Counter[int] = Counter()
    for count in counts:
        total += count
    return total


def run_all(work: list[Callable[[], None]]) -> None:
    """Run everything in threads and wait."""
    threads = [threading.Thread(target=item) for item in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
