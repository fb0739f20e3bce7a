"""The cases in the emulator: the same client and upstreams as around Envoy, in one process and one thread."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from pwasm import _abi
from pwasm._protocols import Host, Plugin
from pwasm._serde import to_bytes, to_text
from pwasm.entrypoint import registration_of
from pwasm.testing import EnvoyCrash, HostEmulator, HttpStream, UpstreamResponse
from pwasm.testing.emulator.headers import Headers

from .case import HOST, LIMIT, VM_CONFIGURATION, Answer, Case
from .observe import Outcome, outcome

MakePlugin = Callable[[Host], Plugin]
PROBE = Path(__file__).parents[1] / "projects" / "probe"
OPTIONS: dict[str, dict[str, Any]] = {
    "limited": {"buffer_limit": LIMIT},
    "flag": {"allow_on_headers_stop_iteration": True},
}
CLUSTERS = {"upstream", "web", "echo", "refusing", "empty"}


def python_plugin(*, tcp: bool) -> MakePlugin:
    """The probe's classes, in this process."""
    if str(PROBE) not in sys.path:
        sys.path.insert(0, str(PROBE))
    import filter as probe
    import interpreter

    registration = registration_of(probe.Vm, probe.Plugin, probe.Tcp if tcp else probe.Http)
    return lambda host: interpreter.Probe(registration, host)


class EmulatorWorld:
    """Runs cases, each in a host of its own.

    With `together` the HTTP cases of a listener share one, as they do in Envoy: starting a module takes longer than a
    case. A host in which a case left something (a call without an answer, a tick, a crash) is not used again.
    """

    def __init__(self, make: Callable[[bool], MakePlugin], together: Sequence[Case] = ()) -> None:
        self._make = make
        self._scripts = {case.id: case.script for case in together}
        self._hosts: dict[str, HostEmulator] = {}

    def run(self, case: Case) -> Outcome:
        """Run one case to its end."""
        shared = case.id in self._scripts and not case.tcp
        host = (self._hosts.pop(case.listener, None) if shared else None) or self._new_host(case, shared=shared)
        start = len(host.logs)
        calls: list[dict[str, Any]] = []
        try:
            client, requests = self._exchange(case, host, calls)
        except EnvoyCrash as error:
            return Outcome(crash=str(error).partition(":")[0])
        log = [(int(level), to_bytes(text).decode("latin-1")) for level, text in host.logs[start:]]
        host.http_calls = [call for call in host.http_calls if not call.answered]
        if shared and not host.http_calls and not any(host.tick_periods.values()):
            self._hosts[case.listener] = host
        return outcome(log, client, requests, calls, case.ignore)

    def options(self, case: Case) -> dict[str, Any]:
        """What the listener of a case is to the emulator."""
        return OPTIONS.get(case.listener, {})

    def _new_host(self, case: Case, *, shared: bool) -> HostEmulator:
        scripts = self._scripts if shared else {case.id: case.script}
        host = HostEmulator(
            plugin=self._make(bool(case.tcp)),
            plugin_configuration=json.dumps({"case": case.id if case.tcp else "", "scripts": scripts}),
            log_level=_abi.LogLevel.INFO,
            root_id="tcp" if case.tcp else "",
            vm_id="probe",
            vm_configuration=VM_CONFIGURATION,
            **self.options(case),
        )
        host.clusters = CLUSTERS
        host.unhealthy_clusters = {"empty"}
        return host

    def _exchange(
        self, case: Case, host: HostEmulator, calls: list[dict[str, Any]]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if case.tcp:
            return TcpClient(host, case).run(), []
        if case.without_host:
            refused = host.rejected(400, request=[(":path", case.path), ("x-case", case.id)])
            return self._client(case, refused), []
        stream = host.open_http_stream()
        answer = case.answer
        if answer.chunks is not None:
            chunks = list(answer.chunks) or ([b""] if answer.is_chunked else [])
            stream.upstream = UpstreamResponse(answer.status, answer_headers(answer), chunks, answer.trailers)
        lines = [pair for pair in case.request_headers() if pair[0] not in {"host", "transfer-encoding", "expect"}]
        first = [(":authority", HOST), (":path", case.path), (":method", case.method), (":scheme", "http")]
        has_body = case.chunks is not None or bool(case.body)
        headers = Headers(
            (name, value.encode("latin-1")) for name, value in (*first, *lines, ("x-forwarded-proto", "http"))
        )
        stream.send_request_headers(headers, end_of_stream=not has_body)
        if has_body:
            for chunk in case.chunks if case.chunks is not None else [case.body or b""]:
                stream.send_request_body(chunk)
            if case.trailers:
                stream.send_request_trailers(
                    [(name, to_text(value.encode("latin-1"))) for name, value in case.trailers]
                )
            else:
                stream.send_request_body(b"", end_of_stream=True)
        with host.one_turn() if case.one_turn else nullcontext():
            self._settle(case, host, calls)
        if case.abort_after:
            stream.disconnect()
        return self._client(case, stream), upstream_saw(stream)

    def _settle(self, case: Case, host: HostEmulator, calls: list[dict[str, Any]]) -> None:
        """Answer the calls and let the ticks come."""
        ticks = case.ticks
        answered = 0
        while True:
            waiting = [call for call in host.http_calls if not call.answered]
            if waiting:
                call = waiting[0]
                if call.cluster == "refusing":
                    host.refuse(call)
                    continue
                calls.append(called(call))
                answer = case.calls[answered] if answered < len(case.calls) else Answer(chunks=None)
                answered += 1
                if answer.chunks is None:
                    host.time_out(call)
                    continue
                pairs = answer_headers(answer)
                pairs.append(("x-envoy-upstream-service-time", "0"))
                host.answer(call, pairs, b"".join(answer.chunks), answer.trailers or (), status=answer.status)
            elif ticks and any(host.tick_periods.values()):
                ticks -= 1
                host.tick()
            else:
                return

    @staticmethod
    def _client(case: Case, stream: HttpStream) -> dict[str, Any]:
        if case.abort_after:
            return {"aborted": True}
        if stream.status is None:
            return {"status": None}
        pairs = on_the_wire(stream.headers)
        # HTTP/1 has no trailers where the length is known before.
        known = "content-length" in stream.headers or case.method == "HEAD"
        trailers = [] if known or case.version == "1.0" else on_the_wire(stream.trailers)
        shown = {"status": stream.status, "headers": pairs, "body": stream.body.decode("latin-1"), "trailers": trailers}
        return {**shown, "complete": not stream.closed or "content-length" in stream.headers}


class TcpClient:
    """A client and an upstream that echoes in capitals around a TCP stream."""

    def __init__(self, host: HostEmulator, case: Case) -> None:
        self.host, self.case = host, case
        self.stream = host.connect()
        self.echoed, self.finished, self.ticks = 0, False, case.ticks

    def run(self) -> dict[str, Any]:
        """All steps, then the end."""
        for step, data in self.case.tcp:
            if step == "send":
                self.stream.downstream(data.encode("latin-1"))
            elif step == "finish" and not self.stream.closed:
                self.finished = True
                self.stream.downstream(b"", end_of_stream=True)
            self.settle()
        return {"body": self.stream.to_downstream.decode("latin-1")}

    def settle(self) -> None:
        """Upstream answers; the ticks come."""
        stream = self.stream
        while stream.paused and self.ticks and any(self.host.tick_periods.values()):
            self.ticks -= 1
            self.host.tick()
        data = stream.to_upstream[self.echoed :]
        self.echoed += len(data)
        if data and not stream.closed:
            stream.upstream(data.upper())
        if (b"bye" in data or self.finished) and not stream.paused and not stream.closed:
            stream.upstream(b"", end_of_stream=True)
            stream.close()


def answer_headers(answer: Answer) -> list[tuple[str, str]]:
    """An upstream's headers with its framing, as Envoy's codec passes them on."""
    pairs = [(name, to_text(value.encode("latin-1"))) for name, value in answer.headers]
    if answer.is_chunked:
        pairs.append(("transfer-encoding", "chunked"))
    elif answer.status not in {204, 304}:
        pairs.append(("content-length", str(sum(map(len, answer.chunks or ())))))
    return pairs


def upstream_saw(stream: HttpStream) -> list[dict[str, Any]]:
    """The request on upstream's side."""
    if not stream.upstream_called:
        return []
    headers = stream.request_headers
    path, method = headers.get(":path"), headers.get(":method")
    host = headers.get(":authority")
    pairs = ([["host", host]] if host else []) + on_the_wire(headers)
    # What is longer than announced comes as the beginning of a next request (docs/abi.md §0.5).
    length = int(headers.get("content-length") or len(stream.request_body))
    return [
        {
            "start": f"{method} {path} HTTP/1.1",
            "headers": pairs,
            "body": stream.request_body[:length].decode("latin-1"),
            "rest": (stream.request_body[length:] + stream.request_rest).decode("latin-1"),
            "trailers": [] if "content-length" in headers else on_the_wire(stream.request_trailers),
        }
    ]


def on_the_wire(headers: Headers | None) -> list[list[str]]:
    """Headers as HTTP/1 lines, read again: a line break in a value makes two of them."""
    block = b"".join(b"%s: %s\r\n" % pair for pair in (headers.raw if headers else ()) if pair[0][:1] != b":")
    lines = (line.partition(b":") for line in block.split(b"\r\n") if line)
    return [[name.decode("latin-1"), value.strip(b" ").decode("latin-1")] for name, _, value in lines]


def called(call: Any) -> dict[str, Any]:
    """A callout on the other side."""
    pairs = [["host", call.headers.get(":authority")]]
    pairs += on_the_wire(call.headers)
    with suppress(AttributeError):
        pairs.append(["x-envoy-internal", "true"])
        pairs += [["x-envoy-expected-rq-timeout-ms", str(call.timeout_ms)]] if call.timeout_ms else []
    return {
        "start": f"{call.headers.get(':method')} {call.headers.get(':path')} HTTP/1.1",
        "headers": pairs,
        "body": call.body.decode("latin-1"),
    }
