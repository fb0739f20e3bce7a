"""From a validated resource to one in effect: apply it, wait for the condition of its kind, find the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pwasm_compiler.kube.kind import Document, ResourceKind
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl
from pwasm_compiler.kube.resources import kind_of
from pwasm_compiler.kube.schemas import GATEWAY_API

POLL_SECONDS = 0.5
SILENCE_SECONDS = 10.0
"""How long to wait for a product that may not write status before concluding that it does not."""


@dataclass(frozen=True)
class Outcome:
    """How the wait ended; `note` says what could not be determined."""

    in_force: bool | None
    note: str


@dataclass(frozen=True)
class _Condition:
    """A status condition of the current generation."""

    status: str
    reason: str
    message: str


def wait(kubectl: Kubectl, document: Document, seconds: float, clock: Callable[[], float] = time.monotonic) -> Outcome:
    """Wait until the product reports that the resource is in effect.

    Raises:
        ClusterError: the product rejects it, it was deleted, or no status arrives within `seconds`.
    """
    kind = kind_of(document)
    name, namespace = document["metadata"]["name"], document["metadata"].get("namespace")
    if kind.condition is None:
        return Outcome(None, f"{kind.product} writes no status; check the filter in the proxy with: pwasm status")
    start, silence = clock(), min(seconds, SILENCE_SECONDS)
    while True:
        found = kubectl.get(kind.resource, name, namespace)
        if found is None:
            raise ClusterError(f"{kind.kind} {name} no longer exists", why="It was deleted in the meantime.")
        conditions = list(_conditions(found, kind))
        _refuse_errors(found, kind, name)
        if conditions and all(condition.status == "True" for condition in conditions):
            return Outcome(True, f"{kind.product} reports {kind.condition}")
        _refuse_final(conditions, kind, name)
        waited = clock() - start
        if kind.silence and not found.get("status") and waited >= silence:
            return Outcome(None, f"{kind.product} wrote no status, {kind.silence}; check with: pwasm status")
        if waited >= seconds:
            raise _status_timeout(conditions, kind, name, seconds)
        time.sleep(POLL_SECONDS)


def _conditions(found: Document, kind: ResourceKind) -> Iterator[_Condition]:
    """The relevant conditions: those of this generation."""
    status = found.get("status") or {}
    generation = found.get("metadata", {}).get("generation", 0)
    for conditions in kind.condition_lists(status):
        of_kind = [item for item in conditions if item.get("type") == kind.condition]
        for item in of_kind:
            observed = item.get("observedGeneration", status.get("observedGeneration", generation))
            current = int(observed or 0) >= generation  # Istio writes it as a string
            yield _Condition(
                str(item.get("status")) if current else "Unknown",
                str(item.get("reason", "")),
                str(item.get("message", "")),
            )
        if not of_kind:
            yield _Condition("Unknown", "", "")


def _refuse_errors(found: Document, kind: ResourceKind, name: str) -> None:
    for error in kind.analysis_errors(found.get("status") or {}):
        raise ClusterError(
            f"{kind.product} reports an error in {kind.kind} {name}", why=error, hint=f"see: {kind.analysis_command}"
        )


def _refuse_final(conditions: list[_Condition], kind: ResourceKind, name: str) -> None:
    for condition in conditions:
        if condition.status == "False" and kind.false_is_final:
            raise ClusterError(
                f"{kind.product} rejected {kind.kind} {name}",
                why=f"{condition.reason}: {condition.message}",
                hint="fix it and deploy again",
            )


def _status_timeout(conditions: list[_Condition], kind: ResourceKind, name: str, seconds: float) -> ClusterError:
    said = "; ".join(f"{c.reason}: {c.message}" for c in conditions if c.message)
    return ClusterError(
        f"{kind.product} did not report {kind.condition} for {kind.kind} {name} within {seconds:g} s",
        why=said or "It wrote no such condition.",
        hint="the resource has been applied; wait longer with --timeout, or see: kubectl describe",
    )


def gateway_address(kubectl: Kubectl, document: Document) -> str | None:
    """Where the traffic that the filter sees enters: an address of a Gateway, or of the product's own gateway."""
    kind, namespace = kind_of(document), document["metadata"].get("namespace")
    spec = document["spec"]
    targets = spec.get("targetRefs") or [target for target in (spec.get("targetRef"),) if target]
    try:
        for target in targets:
            for name, place in _gateways_of(kubectl, target["kind"], target["name"], namespace):
                address = _address_of_gateway(kubectl, name, place)
                if address:
                    return address
        if not targets and kind.gateway_service:
            return _address_of_service(kubectl, *kind.gateway_service)
    except ClusterError:
        return None  # a user who may deploy filters may not be allowed to read gateways
    return None


def _gateways_of(kubectl: Kubectl, kind: str, name: str, namespace: str | None) -> Iterator[tuple[str, str | None]]:
    if kind == "Gateway":
        yield name, namespace
    elif kind.endswith("Route"):
        route = kubectl.get(f"{kind.lower()}s.{GATEWAY_API}", name, namespace)
        for parent in ((route or {}).get("spec") or {}).get("parentRefs") or []:
            if parent.get("kind", "Gateway") == "Gateway":
                yield parent["name"], parent.get("namespace", namespace)


def _address_of_gateway(kubectl: Kubectl, name: str, namespace: str | None) -> str | None:
    gateway = kubectl.get(f"gateways.{GATEWAY_API}", name, namespace)
    addresses = ((gateway or {}).get("status") or {}).get("addresses") or []
    return next((item["value"] for item in addresses if item.get("value")), None)


def _address_of_service(kubectl: Kubectl, name: str, namespace: str) -> str | None:
    service = kubectl.get("services", name, namespace)
    ingress = (((service or {}).get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return next((found for item in ingress if (found := item.get("ip") or item.get("hostname"))), None)
