"""`pwasm run` in a separate process, as a user starts it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

SECONDS = 120.0
_URL = re.compile(r"(?:http|tcp)://127\.0\.0\.1:\d+/?|no listener: .*")
_ADMIN = re.compile(r"admin: (http://127\.0\.0\.1:\d+)/ ")


class Served:
    """A filter that is being served, on free ports."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.printed: list[str] = []
        """What it says about its listeners, and its log."""
        self.errors: list[str] = []
        command = [sys.executable, "-m", "pwasm_compiler.cli", "run", str(folder), "--port", "0", "--admin-port", "0"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        for stream, lines in ((self.process.stdout, self.printed), (self.process.stderr, self.errors)):
            assert stream is not None
            threading.Thread(target=_collect, args=(stream, lines), daemon=True).start()
        try:
            self.admin = self.wait_for(self._admin, "the admin interface")
        except BaseException:
            self.process.kill()
            raise

    def _admin(self) -> str:
        return next((found[1] for line in self.errors if (found := _ADMIN.match(line))), "")

    @property
    def urls(self) -> list[str]:
        """Its first output: a URL for each listener, or that there is none."""
        return [line for line in self.printed if _URL.fullmatch(line)]

    def ports(self, said: list[str]) -> dict[int, int]:
        """The ports that a README names, with those that are really used."""
        # The admin interface is announced on the other pipe, and may be seen first.
        self.wait_for(lambda: "yes" if len(self.urls) >= len(said) else "", f"{len(said)} listeners")
        pairs = [(urlsplit(one).port, urlsplit(other).port) for one, other in zip(said, self.urls, strict=True)]
        return {port: real for port, real in [*pairs, (9901, urlsplit(self.admin).port)] if port and real}

    def wait_for(self, look: Callable[[], str], what: str) -> str:
        """The first thing that `look` sees."""
        deadline = time.monotonic() + SECONDS
        while not (found := look()):
            account = "\n".join([*self.errors, *self.printed[-50:]])
            assert self.process.poll() is None, f"pwasm run has ended:\n{account}"
            assert time.monotonic() < deadline, f"waited for {what} in vain:\n{account}"
            time.sleep(0.02)
        return found

    def ask_admin(self, path: str, method: str = "GET") -> bytes:
        """An answer of Envoy's admin interface."""
        with urllib.request.urlopen(urllib.request.Request(self.admin + path, method=method), timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def stats(self, prefix: str) -> dict[str, int]:
        """Counters and gauges whose names begin so."""
        stats = json.loads(self.ask_admin(f"/stats?format=json&filter=^{prefix}"))["stats"]
        return {stat["name"]: stat["value"] for stat in stats if isinstance(stat.get("value"), int)}

    def resident_bytes(self) -> int:
        """Memory of the Envoy process."""
        process = self.process.pid
        (envoy,) = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return int(Path(f"/proc/{envoy}/statm").read_text().split()[1]) * 4096

    def stop(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=30)
        finally:
            self.process.kill()


def _collect(stream: IO[str], lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.rstrip("\n"))
