"""The report of `pwasm status`: the Wasm filters of an Envoy, their state, and their problems."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.dump import BUILT_IN, Code, Refusal, WasmFilter, refusals, wasm_filters
from pwasm_compiler.envoy.log_hints import Found
from pwasm_compiler.envoy.problems import Fetches, Seen, problems, where_the_log_is
from pwasm_compiler.envoy.products import Host, Product, host_of, product_of
from pwasm_compiler.envoy.routes import Routes
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.files import printable, read_bytes

_VMS = re.compile(r"wasm\.(envoy\.wasm\.runtime\.\w+)\.(active|created)")
_RELOADS = {
    "reloads": "vm_reload_success",
    "reload_failures": "vm_reload_failure",
    "reload_backoffs": "vm_reload_backoff",
}
_CLOSED = (None, "UNSPECIFIED", "FAIL_CLOSED")
_ROUTES_SHOWN = 5
UNCOUNTED = (
    "this Envoy does not report how many updates it rejected (Istio leaves that out; the annotation "
    "sidecar.istio.io/statsInclusionPrefixes: extension_config_discovery brings it back), so the version shown here "
    "may be a rejected one: {}"
)
_FETCHES = ("fetch_failures", "fetch_successes", "cache_misses")
_UPDATES = {"updates": "config_reload", "update_failures": "config_fail", "updates_rejected": "update_rejected"}


@dataclass(frozen=True)
class Row:
    """One filter, its statistics and problems; a number is None if Envoy does not report it."""

    filter: WasmFilter
    code: Code
    product: Product
    vms: int | None
    shared_with: tuple[str, ...]
    numbers: Mapping[str, int | None]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The whole report. `vms` maps a runtime to its VMs: (active, created)."""

    source: str
    host: Host
    vms: Mapping[str, tuple[int, int]]
    fetches: Fetches
    listeners_rejected: int | None
    """Updates of listeners that were rejected since Envoy started."""
    refused: tuple[Refusal, ...]
    rows: tuple[Row, ...]

    @property
    def problems(self) -> list[str]:
        """Every problem, with the filter or listener it belongs to."""
        found = [f"{_title(row.filter)}: {problem}" for row in self.rows for problem in row.problems]
        found += [f"listener {_refused(item)}" for item in self.refused]
        if self.fetches.failed:
            found.append(f"{self.fetches.failed} fetches of remote code have failed since Envoy started")
        return found


@dataclass(frozen=True)
class _Envoy:
    """What the rows of one Envoy have in common."""

    filters: list[WasmFilter]
    host: Host
    vms: Mapping[str, tuple[int, int]]
    stats: Mapping[str, Any]
    log: Sequence[Found]
    fetches: Fetches


def status(
    source: str,
    dump: dict[str, Any],
    stats: Mapping[str, Any],
    *,
    local: bool = False,
    log: Sequence[Found] = (),
) -> Status:
    """The status of the Envoy that has this config_dump, these statistics, and perhaps this log.

    `local`: Envoy's files are on this machine, so module digests can be computed from them.
    """
    fetches = Fetches(*(_number(stats, f"wasm.remote_load_{name}") or 0 for name in _FETCHES))
    envoy = _Envoy(wasm_filters(dump), host_of(dump), _vms(stats), stats, log, fetches)
    return Status(
        source,
        envoy.host,
        envoy.vms,
        fetches,
        _number(stats, "listener_manager.lds.update_rejected"),
        tuple(refusals(dump)),
        tuple(_row(item, envoy, local) for item in envoy.filters),
    )


def _row(item: WasmFilter, envoy: _Envoy, local: bool) -> Row:
    runtime = item.runtime or ""
    same_runtime = [other for other in envoy.filters if other.runtime == item.runtime]
    keys = {other.key for other in same_runtime}
    numbers = {name: _number(envoy.stats, f"wasm.{item.name}.{stat}") for name, stat in _RELOADS.items()}
    if item.ecds:
        kind = "network_filter" if item.kind == "TCP filter" else "http_filter"
        prefix = f"extension_config_discovery.{kind}.{item.entry}"
        numbers |= {name: _number(envoy.stats, f"{prefix}.{stat}") for name, stat in _UPDATES.items()}
    product = product_of(item.entry, envoy.host)
    seen = Seen(
        product,
        numbers,
        envoy.fetches,
        envoy.vms[runtime][0] if runtime in envoy.vms else _none(envoy.stats),
        len({other.code for other in envoy.filters if other.code.how == "remote"}) == 1,
        _in_log(item, envoy.log),
    )
    return Row(
        filter=item,
        code=_with_digest(item.code, local),
        product=product,
        vms=envoy.vms[runtime][0] if runtime in envoy.vms and len(keys) == 1 and runtime != BUILT_IN else None,
        shared_with=tuple(
            _title(other) for other in same_runtime if other is not item and other.key == item.key and item.runtime
        ),
        numbers=numbers,
        problems=tuple(problems(item, seen)),
    )


def _none(stats: Mapping[str, Any]) -> int | None:
    """0 if there are no VMs at all: then Envoy does not list runtimes, and their sum only if there have been some."""
    count = _number(stats, "wasm.wasm_vm_count")
    return 0 if count == 0 or (count is None and "wasm.remote_load_cache_entries" in stats) else None


def _in_log(item: WasmFilter, log: Sequence[Found]) -> str | None:
    """What the log says about loading this filter; Envoy names the plugin in some of its messages."""
    named = [found for found in log if found.plugin and found.plugin == item.name]
    return next((found.excerpt for found in sorted(named, key=lambda found: found.explanation.effect)), None)


def _vms(stats: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, value in stats.items():
        match = _VMS.fullmatch(name)
        if match and isinstance(value, int):
            found.setdefault(match[1], {})[match[2]] = value
    return {runtime: (counts.get("active", 0), counts.get("created", 0)) for runtime, counts in sorted(found.items())}


def _with_digest(code: Code, local: bool) -> Code:
    if not local or code.how != "local" or code.sha256 is not None or not code.source.startswith("/"):
        return code
    try:
        return replace(code, sha256=hashlib.sha256(read_bytes(Path(code.source))).hexdigest())
    except (OSError, ValueError, PwasmError):  # whatever an Envoy calls its file
        return code


def _number(stats: Mapping[str, Any], name: str) -> int | None:
    value = stats.get(name)
    return value if isinstance(value, int) else None


def to_json(found: Status) -> dict[str, Any]:
    """`status` as plain values (what `--json` prints)."""
    return {
        "source": found.source,
        "envoy": found.host.envoy,
        "istio": found.host.istio,
        "vms": {runtime: {"active": active, "created": created} for runtime, (active, created) in found.vms.items()},
        "filters": [_row_to_json(row) for row in found.rows],
        "listeners_rejected": found.listeners_rejected,
        "refused_listeners": [{"listener": item.listener, "why": item.why} for item in found.refused],
        "remote_fetches": {"failed": found.fetches.failed, "succeeded": found.fetches.succeeded},
        "problems": found.problems,
    }


def _row_to_json(row: Row) -> dict[str, Any]:
    item = row.filter
    return {
        "name": item.name,
        "entry": item.entry,
        "kind": item.kind,
        "listener": item.listener,
        "address": item.address,
        "state": item.state,
        "disabled": item.disabled,
        "routes": None
        if item.routes is None
        else {"all": len(item.routes.every), "enabled": list(item.routes.enabled)},
        "product": row.product.name,
        "runtime": item.runtime,
        "built_in": item.runtime == BUILT_IN,
        "code": {"how": row.code.how, "source": row.code.source},
        "sha256": row.code.sha256,
        "fetched_digest": row.code.fetched,
        "root_id": item.root_id,
        "vm_id": item.vm_id,
        "failure_policy": item.policy,
        "restricted": item.restricted,
        "ecds": item.ecds,
        "vms": row.vms,
        "shares_vms_with": list(row.shared_with),
        **row.numbers,
        "problems": list(row.problems),
    }


def render(found: Status) -> str:
    """`status` as text."""
    istio = f" of Istio {found.host.istio}" if found.host.istio else ""
    lines = [f"Envoy {found.host.envoy or 'of unknown version'}{istio} at {found.source}"]
    lines += [
        f"  VMs of {runtime}: {active} active, {created} created" for runtime, (active, created) in found.vms.items()
    ]
    if found.fetches.begun:
        lines.append(f"  remote code: {found.fetches.succeeded} fetches, {found.fetches.failed} failed")
    if found.listeners_rejected and not found.refused:
        lines.append(f"  listeners: {found.listeners_rejected} updates were rejected, but not the latest ones")
    if not found.rows:
        lines.append("  no Wasm filter")
    for row in found.rows:
        lines += ["", *_row_lines(row)]
    for refusal in found.refused:
        lines += ["", f"listener {_refused(refusal)}"]
    return "\n".join(map(printable, lines))  # a name may hold a line break


def _refused(item: Refusal) -> str:
    return f"{item.listener or '(unnamed)'}: its latest configuration was rejected: {item.why}"


def _row_lines(row: Row) -> Iterator[str]:
    item = row.filter
    state = "".join(f", {word}" for word in (item.state if item.state != "active" else "", _disabled(item)) if word)
    yield f"{_title(item)}: {item.kind}{f' of listener {item.listener}' if item.listener else ''}{state}"
    if item.address and item.address != item.listener:
        yield f"  address    {item.address}"
    if item.routes is not None:
        yield f"  routes     {_on_routes(item.routes)}"
    yield from _code_lines(row)
    if item.runtime not in (None, BUILT_IN):
        note = f"; {row.product.no_reload}" if row.product.no_reload and item.policy in _CLOSED else ""
        yield f"  on crash   {item.policy or 'FAIL_CLOSED (default)'}{note}"
    if row.vms is not None:
        yield f"  VMs        {row.vms}"
    if row.shared_with:
        yield f"  shared     shares its VMs with {', '.join(row.shared_with)}"
    yield from _number_lines(row)
    yield from (f"  problem    {problem}" for problem in row.problems)


def _code_lines(row: Row) -> Iterator[str]:
    item = row.filter
    if item.runtime:
        yield f"  runtime    {item.runtime}{' (built into Envoy, no module)' if item.runtime == BUILT_IN else ''}"
        yield f"  code       {row.code.how}{f': {row.code.source}' if row.code.source else ''}"
    if row.code.sha256:
        yield f"  sha256     {row.code.sha256}"
    if row.code.fetched:
        yield f"  fetched    sha256:{row.code.fetched} (the image, or the file behind an http URL)"
    if item.root_id:
        yield f"  root id    {item.root_id}"


def _number_lines(row: Row) -> Iterator[str]:
    numbers = row.numbers
    if row.filter.ecds and numbers["updates"] is not None:
        yield f"  ECDS       {_said(numbers['updates'])} updates, {_said(numbers['updates_rejected'])} rejected"
    elif row.filter.ecds:
        yield f"  ECDS       {UNCOUNTED.format(where_the_log_is(row.product))}"
    if numbers["reloads"] is not None:
        yield (
            f"  reloads    {_said(numbers['reloads'])} done, {_said(numbers['reload_failures'])} failed, "
            f"{_said(numbers['reload_backoffs'])} requests rejected meanwhile"
        )


def _disabled(item: WasmFilter) -> str:
    if not item.disabled:
        return ""
    return "enabled by route" if item.routes is not None and item.routes.enabled else "disabled"


def _on_routes(routes: Routes) -> str:
    if not routes.every:
        return "unknown: the dump has no routes for it"
    shown = ", ".join(routes.enabled[:_ROUTES_SHOWN])
    more = f" and {len(routes.enabled) - _ROUTES_SHOWN} more" if len(routes.enabled) > _ROUTES_SHOWN else ""
    return f"{len(routes.enabled)} of {len(routes.every)}{f': {shown}' if shown else ''}{more}"


def _said(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _title(item: WasmFilter) -> str:
    return item.name or item.entry or "(unnamed)"
