"""What is wrong with a Wasm filter, as far as an Envoy's configuration, statistics and log say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pwasm_compiler.envoy.dump import BUILT_IN, WasmFilter
from pwasm_compiler.envoy.products import ENVOY_GATEWAY, ISTIO, OLD_ISTIO, Product

_UNLOADED = {
    "HTTP filter": "every request is answered with 503",
    "TCP filter": "every connection is closed",
}
_FAIL_OPEN = {
    "HTTP filter": "requests pass without it (FAIL_OPEN)",
    "TCP filter": "connections pass without it (FAIL_OPEN)",
}
_REPLACED = {
    ("deny", "HTTP filter"): "every request is answered with 403 RBAC: access denied",
    ("deny", "TCP filter"): "every connection is closed",
    ("allow", "HTTP filter"): "requests pass without the filter (FAIL_OPEN)",
    ("allow", "TCP filter"): "connections pass without the filter (FAIL_OPEN)",
}
_FORGIVING = "FAIL_OPEN"
_IN_THE_LOG = {
    ISTIO: "kubectl logs POD -c istio-proxy | pwasm status --log -",
    OLD_ISTIO: "kubectl logs POD -c istio-proxy | pwasm status --log -",
    ENVOY_GATEWAY: "kubectl logs POD -c envoy | pwasm status --log -",
}


@dataclass(frozen=True)
class Seen:
    """What is known of a filter besides its configuration."""

    product: Product
    numbers: Mapping[str, int | None]
    fetches: Fetches
    vms: int | None
    """The Envoy's VMs of this runtime, of all its filters; None if it does not report them."""
    fetched_alone: bool
    """Whether the Envoy has no other remote code."""
    in_log: str | None
    """The line of the log that says that the filter was refused, or did not load."""


@dataclass(frozen=True)
class Fetches:
    """How often Envoy fetched remote code: each failure is one after all retries."""

    failed: int = 0
    succeeded: int = 0
    begun: int = 0

    @property
    def running(self) -> bool:
        """Whether one has not ended."""
        return self.begun > self.failed + self.succeeded


def problems(item: WasmFilter, seen: Seen) -> Iterator[str]:
    """Each problem, in a sentence."""
    yield from _of_configuration(item, seen)
    yield from _of_loading(item, seen)
    yield from _of_running(item, seen)


def where_the_log_is(product: Product) -> str:
    """The command that explains an Envoy's log."""
    return _IN_THE_LOG.get(product, "pwasm status --log FILE")


def _of_configuration(item: WasmFilter, seen: Seen) -> Iterator[str]:
    if item.replaced_by is not None:
        yield f"Istio could not fetch the module: {_REPLACED.get((item.replaced_by, item.kind), item.replaced_by)}"
    if item.state == "waiting":
        yield "its configuration has not arrived by ECDS; requests are answered with 500 until it does"
    if item.kind == "TCP filter" and item.entry == "envoy.filters.http.wasm":
        yield "it has a TCP filter's type but an HTTP filter's name"
    if seen.product is ENVOY_GATEWAY and item.routes is not None and item.routes.every and not item.routes.enabled:
        yield "no route enables it, so it sees no request: look at the status of its EnvoyExtensionPolicy"
    if item.refused is not None:
        yield f"an update was rejected: {item.refused}"
    rejected = max(seen.numbers.get("updates_rejected") or 0, seen.numbers.get("update_failures") or 0)
    if rejected:
        yield (
            f"an update was rejected ({rejected} so far): the last good version is serving; the version shown here is "
            "the latest one received, which may be the rejected one; see Envoy's log for the reason"
        )
    if seen.in_log is not None:
        yield f"the log says that it did not load, or that an update was rejected: {seen.in_log}"


def _of_loading(item: WasmFilter, seen: Seen) -> Iterator[str]:
    if item.runtime in (None, BUILT_IN) or item.state not in ("active", "warming"):
        return
    consequence = (_FAIL_OPEN if item.policy == _FORGIVING else _UNLOADED).get(item.kind, "it does nothing")
    if item.code.how == "remote" and seen.fetches.failed and (seen.vms == 0 or seen.fetched_alone):
        if seen.vms == 0 or not seen.fetches.succeeded:
            yield (
                f"its code could not be fetched: {consequence}, until Envoy restarts or the configuration changes; "
                f"check the URL, the cluster and the SHA-256, and see Envoy's log: {where_the_log_is(seen.product)}"
            )
    elif item.code.how == "remote" and seen.fetches.running and seen.vms == 0:
        yield "its code is still being fetched; until then its listener may not accept connections"
    elif seen.vms == 0:
        refused = "requests are answered with 500" if item.ecds else consequence
        yield (
            f"no VM is running: the module did not start, or the configuration was refused, and {refused}; see Envoy's "
            f"log: {where_the_log_is(seen.product)}"
        )


def _of_running(item: WasmFilter, seen: Seen) -> Iterator[str]:
    numbers = seen.numbers
    if numbers.get("reload_failures"):
        yield f"reloading the VM failed {numbers['reload_failures']} times; see Envoy's log"
    if numbers.get("reload_backoffs"):
        yield f"{numbers['reload_backoffs']} requests got 503 during the backoff before a VM was reloaded"
    if numbers.get("reloads"):
        yield f"the VM crashed and was reloaded {numbers['reloads']} times; see Envoy's log for the crash"
    unprotected = item.runtime not in (None, BUILT_IN) and item.policy in (None, "UNSPECIFIED", "FAIL_CLOSED")
    if unprotected and seen.product.reload is not None:
        yield f"after a crash every request is answered with 503 until Envoy restarts: {seen.product.reload}"
