"""From a validated resource to one that is accepted: wait for the condition of its kind, and find the gateway.

A status says what the control plane made of the resource. Whether the proxies took the filter, only they know: see
`pwasm_compiler.kube.proxies`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.kube.kind import Document, ResourceKind
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl
from pwasm_compiler.kube.resources import kind_of
from pwasm_compiler.kube.schemas import GATEWAY_API
from pwasm_compiler.values import get, mapping, mappings, text

POLL_SECONDS = 0.5
_BAD_IF_TRUE = ("Overridden", "Conflicted", "Warning", "Aggregated")
"""Conditions whose True is not what the user wanted. Envoy Gateway: Overridden, another policy wins for some routes;
Warning, such as a policy that reaches no route; Aggregated, more ancestors than a status can list."""


@dataclass(frozen=True)
class Outcome:
    """How the wait ended; `note` says what is known and what is not, `details` what was said of each ancestor."""

    in_force: bool | None
    note: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Condition:
    """A status condition; one of an older generation is Unknown."""

    ancestor: str
    type: str
    status: str
    reason: str = ""
    message: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == ("False" if self.type in _BAD_IF_TRUE else "True")

    def __str__(self) -> str:
        said = ": ".join(filter(None, (self.reason if self.reason != self.type else "", self.message)))
        what = self.type if self.status == "True" else f"{self.type} is {self.status}"
        return f"{self.ancestor + ': ' if self.ancestor else ''}{what}{f' ({said})' if said else ''}"


def wait(kubectl: Kubectl, document: Document, seconds: float, clock: Callable[[], float] = time.monotonic) -> Outcome:
    """Wait until the product reports that it accepts the resource.

    Raises:
        ClusterError: the product rejects it, it was deleted, or no status arrives within `seconds`.
    """
    kind = kind_of(document)
    name, namespace = document["metadata"]["name"], document["metadata"].get("namespace")
    start = clock()
    while True:
        found = kubectl.get(kind.resource, name, namespace)
        if found is None:
            raise ClusterError(f"{kind.kind} {name} no longer exists", why="It was deleted in the meantime.")
        _refuse_errors(found, kind, name)
        if kind.condition is None:
            return Outcome(
                None, f"applied; {kind.product} writes no status, so only its proxies can say if it is in effect"
            )
        said = list(_conditions(found, kind))
        awaited = [condition for condition in said if condition.type == kind.condition]
        if all(condition.status == "True" for condition in awaited):
            return _accepted(kind, said)
        _refuse_final(awaited, kind, name)
        if clock() - start >= seconds:
            raise _status_timeout(awaited, kind, name, seconds)
        time.sleep(POLL_SECONDS)


def _accepted(kind: ResourceKind, said: list[_Condition]) -> Outcome:
    bad = [str(condition) for condition in said if not condition.is_good and condition.status != "Unknown"]
    note = f"{kind.product} reports {kind.condition}"
    if bad:
        return Outcome(None, f"{note}, but not all of it is in effect", tuple(bad))
    return Outcome(True, note, tuple(str(condition) for condition in said if condition.ancestor))


def _conditions(found: Document, kind: ResourceKind) -> Iterator[_Condition]:
    """Every condition; the awaited one is Unknown for an ancestor without it."""
    generation = get(found, "metadata", "generation")
    for ancestor, conditions in kind.condition_lists(mapping(found, "status")):
        if not any(item.get("type") == kind.condition for item in conditions):
            yield _Condition(ancestor, str(kind.condition), "Unknown")
        for item in conditions:
            status = text(item, "status") if _is_current(item, generation) else "Unknown"
            yield _Condition(ancestor, text(item, "type"), status, text(item, "reason"), text(item, "message"))


def _is_current(condition: Document, generation: Any) -> bool:
    """Whether it is about the generation that the resource has now; without one, it is about any."""
    observed = condition.get("observedGeneration", generation)
    return not isinstance(generation, int) or (isinstance(observed, int) and observed >= generation)


def _refuse_errors(found: Document, kind: ResourceKind, name: str) -> None:
    for error in kind.analysis_errors(mapping(found, "status")):
        raise ClusterError(
            f"{kind.product} reports an error in {kind.kind} {name}", why=error, hint=f"see: {kind.analysis_command}"
        )


def _refuse_final(conditions: list[_Condition], kind: ResourceKind, name: str) -> None:
    for condition in conditions:
        if condition.status == "False":
            raise ClusterError(
                f"{kind.product} rejected {kind.kind} {name}",
                why=f"{condition.ancestor + ', ' if condition.ancestor else ''}{condition.reason}: {condition.message}",
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
            for name, place in gateways_of(kubectl, target["kind"], target["name"], namespace):
                address = _address_of_gateway(kubectl, name, place)
                if address:
                    return address
        if not targets and kind.gateway_service:
            return _address_of_service(kubectl, *kind.gateway_service)
    except ClusterError:
        return None  # a user who may deploy filters may not be allowed to read gateways
    return None


def gateways_of(kubectl: Kubectl, kind: str, name: str, namespace: str | None) -> Iterator[tuple[str, str | None]]:
    """Name and namespace of each Gateway that a target is, or belongs to."""
    if kind == "Gateway":
        yield name, namespace
    elif kind.endswith("Route"):
        route = kubectl.get(f"{kind.lower()}s.{GATEWAY_API}", name, namespace)
        for parent in mappings(route, "spec", "parentRefs"):
            if parent.get("kind", "Gateway") == "Gateway" and text(parent, "name"):
                yield text(parent, "name"), text(parent, "namespace") or namespace


def _address_of_gateway(kubectl: Kubectl, name: str, namespace: str | None) -> str | None:
    gateway = kubectl.get(f"gateways.{GATEWAY_API}", name, namespace)
    return next(filter(None, (text(item, "value") for item in mappings(gateway, "status", "addresses"))), None)


def _address_of_service(kubectl: Kubectl, name: str, namespace: str) -> str | None:
    service = kubectl.get("services", name, namespace)
    ingress = mappings(service, "status", "loadBalancer", "ingress")
    return next(filter(None, (text(item, "ip") or text(item, "hostname") for item in ingress)), None)
