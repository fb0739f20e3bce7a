"""The report of `pwasm status`: the Wasm filters of an Envoy, their state, and their problems."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.dump import BUILT_IN, Code, WasmFilter, version, wasm_filters

_VMS = re.compile(r"wasm\.(envoy\.wasm\.runtime\.\w+)\.(active|created)")
_RELOADS = {
    "reloads": "vm_reload_success",
    "reload_failures": "vm_reload_failure",
    "reload_backoffs": "vm_reload_backoff",
}
_UPDATES = {"updates": "config_reload", "update_failures": "config_fail", "updates_rejected": "update_rejected"}


@dataclass(frozen=True)
class Row:
    """One filter, its statistics and problems; a number is None if Envoy does not report it."""

    filter: WasmFilter
    code: Code
    vms: int | None
    shared_with: tuple[str, ...]
    numbers: Mapping[str, int | None]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The whole report. `vms` maps a runtime to its VMs: (active, created)."""

    source: str
    envoy: str | None
    vms: Mapping[str, tuple[int, int]]
    remote_failures: int
    rows: tuple[Row, ...]

    @property
    def problems(self) -> list[str]:
        """Every problem, with the filter it belongs to."""
        found = [f"{_title(row.filter)}: {problem}" for row in self.rows for problem in row.problems]
        if self.remote_failures:
            found.append(f"{self.remote_failures} fetches of remote code have failed since Envoy started")
        return found


def status(source: str, dump: dict[str, Any], stats: Mapping[str, Any], *, local: bool = False) -> Status:
    """The status of the Envoy that has this config_dump and these statistics.

    `local`: Envoy's files are on this machine, so module digests can be computed from them.
    """
    filters = wasm_filters(dump)
    vms = _vms(stats)
    rows = tuple(_row(item, filters, vms, stats, local) for item in filters)
    failures = _number(stats, "wasm.remote_load_fetch_failures") or 0
    return Status(source, version(dump), vms, failures, rows)


def _row(
    item: WasmFilter,
    all_filters: list[WasmFilter],
    vms: Mapping[str, tuple[int, int]],
    stats: Mapping[str, Any],
    local: bool,
) -> Row:
    runtime = item.runtime or ""
    same_runtime = [other for other in all_filters if other.runtime == item.runtime]
    keys = {other.key for other in same_runtime}
    numbers = {name: _number(stats, f"wasm.{item.name}.{stat}") for name, stat in _RELOADS.items()}
    if item.ecds:
        kind = "network_filter" if item.kind == "TCP filter" else "http_filter"
        prefix = f"extension_config_discovery.{kind}.{item.entry}"
        numbers |= {name: _number(stats, f"{prefix}.{stat}") for name, stat in _UPDATES.items()}
    return Row(
        filter=item,
        code=_with_digest(item.code, local),
        vms=vms[runtime][0] if runtime in vms and len(keys) == 1 and runtime != BUILT_IN else None,
        shared_with=tuple(
            _title(other) for other in same_runtime if other is not item and other.key == item.key and item.runtime
        ),
        numbers=numbers,
        problems=tuple(_problems(item, numbers)),
    )


def _problems(item: WasmFilter, numbers: Mapping[str, int | None]) -> Iterator[str]:
    if item.replaced_by == "deny":
        yield "Istio could not fetch the module: every request is answered with 403 RBAC: access denied"
    if item.replaced_by == "allow":
        yield "Istio could not fetch the module: requests pass without the filter (FAIL_OPEN)"
    if item.state == "waiting":
        yield "its configuration has not arrived by ECDS; requests are answered with 500 until it does"
    if item.kind == "TCP filter" and item.entry == "envoy.filters.http.wasm":
        yield "it has a TCP filter's type but an HTTP filter's name"
    if numbers.get("updates_rejected") or numbers.get("update_failures"):
        times = max(numbers.get("updates_rejected") or 0, numbers.get("update_failures") or 0)
        yield (
            f"an update was rejected ({times} so far): the last good version is serving; the version shown here is the "
            "latest one received, which may be the rejected one; see Envoy's log for the reason"
        )
    if numbers.get("reload_failures"):
        yield f"reloading the VM failed {numbers['reload_failures']} times; see Envoy's log"
    if numbers.get("reload_backoffs"):
        yield f"{numbers['reload_backoffs']} requests got 503 during the backoff before a VM was reloaded"
    if numbers.get("reloads"):
        yield f"the VM crashed and was reloaded {numbers['reloads']} times; see Envoy's log for the crash"
    if item.runtime not in (None, BUILT_IN) and item.policy in (None, "UNSPECIFIED", "FAIL_CLOSED"):
        yield "after a crash every request is answered with 503 until Envoy restarts: set failure_policy FAIL_RELOAD"


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
        return replace(code, sha256=hashlib.sha256(Path(code.source).read_bytes()).hexdigest())
    except OSError:
        return code


def _number(stats: Mapping[str, Any], name: str) -> int | None:
    value = stats.get(name)
    return value if isinstance(value, int) else None


def to_json(found: Status) -> dict[str, Any]:
    """`status` as plain values (what `--json` prints)."""
    return {
        "source": found.source,
        "envoy": found.envoy,
        "vms": {runtime: {"active": active, "created": created} for runtime, (active, created) in found.vms.items()},
        "filters": [_row_to_json(row) for row in found.rows],
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
        "runtime": item.runtime,
        "built_in": item.runtime == BUILT_IN,
        "code": {"how": row.code.how, "source": row.code.source},
        "sha256": row.code.sha256,
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
    lines = [f"Envoy {found.envoy or 'of unknown version'} at {found.source}"]
    lines += [
        f"  VMs of {runtime}: {active} active, {created} created" for runtime, (active, created) in found.vms.items()
    ]
    if not found.rows:
        lines.append("  no Wasm filter")
    for row in found.rows:
        lines += ["", *_row_lines(row)]
    return "\n".join(lines)


def _row_lines(row: Row) -> Iterator[str]:
    item = row.filter
    state = "".join(
        f", {word}"
        for word in (item.state if item.state != "active" else "", "disabled" if item.disabled else "")
        if word
    )
    yield f"{_title(item)}: {item.kind}{f' of listener {item.listener}' if item.listener else ''}{state}"
    if item.address and item.address != item.listener:
        yield f"  address    {item.address}"
    if item.runtime:
        yield f"  runtime    {item.runtime}{' (built into Envoy, no module)' if item.runtime == BUILT_IN else ''}"
        yield f"  code       {row.code.how}{f': {row.code.source}' if row.code.source else ''}"
    if row.code.sha256:
        yield f"  sha256     {row.code.sha256}"
    if item.root_id:
        yield f"  root id    {item.root_id}"
    if item.runtime not in (None, BUILT_IN):
        yield f"  on crash   {item.policy or 'FAIL_CLOSED (default)'}"
    if row.vms is not None:
        yield f"  VMs        {row.vms}"
    if row.shared_with:
        yield f"  shared     shares its VMs with {', '.join(row.shared_with)}"
    numbers = row.numbers
    if item.ecds and numbers["updates"] is not None:
        yield f"  ECDS       {_said(numbers['updates'])} updates, {_said(numbers['updates_rejected'])} rejected"
    if numbers["reloads"] is not None:
        yield (
            f"  reloads    {_said(numbers['reloads'])} done, {_said(numbers['reload_failures'])} failed, "
            f"{_said(numbers['reload_backoffs'])} requests rejected meanwhile"
        )
    yield from (f"  problem    {problem}" for problem in row.problems)


def _said(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _title(item: WasmFilter) -> str:
    return item.name or item.entry or "(unnamed)"
