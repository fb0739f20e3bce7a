"""The interface of resource kinds that carry a filter. A new kind is a subclass, and a row of `KINDS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pwasm_compiler.digests import sha256_in, sha256_of
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.crd_facts import Nodes, products
from pwasm_compiler.kube.schemas import Schema
from pwasm_compiler.values import mapping, mappings, text

Document = dict[str, Any]
"""A resource, or a part of one, as parsed from YAML."""
Rule = Callable[[Any], str | None]
"""A rule that a schema cannot express: takes the spec and returns a sentence, or None."""

FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")
OPTIONS = {
    # field of a `Placement` that not every kind supports → its command line option
    "selector": "--selector", "targets": "--target", "phase": "--phase", "priority": "--priority",
    "match": "--match", "type": "--type", "listeners": "--listener", "pull_secret": "--pull-secret",
    "pull_policy": "--pull-policy", "ca": "--ca",
}  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """A filter in a registry and where to run it; None and empty mean unspecified.

    `environment` maps a name to its value, or to None for the proxy's own variable of that name.
    """

    name: str
    url: str
    namespace: str | None = None
    selector: Mapping[str, str] | None = None
    targets: Sequence[tuple[str, str]] = ()
    phase: str | None = None
    priority: int | None = None
    match: Sequence[tuple[str, tuple[int, ...]]] = ()
    plugin_config: Any = None
    root_id: str | None = None
    fail_strategy: str | None = None
    sha256: str | None = None
    environment: Mapping[str, str | None] | None = None
    pull_secret: str | None = None
    pull_policy: str | None = None
    type: str | None = None
    carries: Sequence[str] = ()
    """The types that the module has callbacks for (`HTTP`, `NETWORK`); empty if that is not known."""
    ca: tuple[str, str] | None = None
    """Kind and name of the object with the registry's own certificate authority."""
    release: str | None = None
    """The release of the product to write for; None for all that take it."""
    hold_headers: bool = False
    """Whether the proxy is to hold streams by their headers (`pwasm_compiler.held_headers`)."""
    listeners: Sequence[str] = ()
    """The listeners of the targeted Gateway."""

    @property
    def pin(self) -> str | None:
        """The digits for `sha256`; `UsageError` if they contradict those in the URL."""
        in_url = sha256_in(self.url)
        chosen = None if self.sha256 is None else sha256_of(self.sha256)
        if in_url and chosen and in_url != chosen:
            raise UsageError(
                "--sha256 and the digest in the reference differ", hint="omit --sha256 to use the reference's digest"
            )
        return chosen or in_url


class ResourceKind(ABC):
    """One kind of resource that carries a filter, and how its product treats it."""

    name: ClassVar[str]
    """Its name on the command line. Two products share a kind name, so this may differ from `kind`."""
    api_version: ClassVar[str]
    kind: ClassVar[str]
    resource: ClassVar[str]
    """Its unambiguous name for kubectl."""
    product: ClassVar[str]
    tighter: ClassVar[Mapping[str, Schema]] = {}
    """Path → what must hold besides the product's own rules (`crd_facts`)."""
    rules: ClassVar[tuple[Rule, ...]] = ()
    targets: ClassVar[Mapping[str, str]] = {}
    """Kind of a target → its API group."""
    unsupported: ClassVar[Mapping[str, str]] = {}
    """Field of a `Placement` that the kind does not support → what to do instead."""
    fail_strategies: ClassVar[tuple[str, ...]] = FAIL_STRATEGIES
    types: ClassVar[tuple[str, ...]] = ("HTTP",)
    """The types of filters that it can carry."""
    condition: ClassVar[str | None]
    """The status condition that says it is accepted; None if the product writes none."""
    admin_port: ClassVar[int | None] = None
    """The port of the admin interface of the product's proxies, within their pods."""
    delivered_as: ClassVar[str] = ""
    """What the product calls the filter in its proxies: a pattern with {namespace} and {name}."""
    proxy_container: ClassVar[str] = ""
    """The name of a proxy's container, where other pods may have the same labels."""
    analysis_command: ClassVar[str] = ""
    """The command that explains an error of `analysis_errors`."""
    gateway_service: ClassVar[tuple[str, str] | None] = None
    """Service and namespace of the product's own gateway, for which there is no Gateway resource."""
    instead: ClassVar[str] = ""
    """What to do for a release that does not have the kind."""
    needs_gateway_api: ClassVar[bool] = False
    held_by: ClassVar[str | None] = None
    """The kind that has headers held for this product's filters: itself, another, or None for none."""
    held_beside: ClassVar[bool] = False
    """Whether that kind goes beside this one; otherwise it takes its place."""
    only_beside: ClassVar[bool] = False
    """Whether it is printed only beside another kind."""

    @abstractmethod
    def spec(self, placement: Placement) -> Document:
        """The spec for `placement`, which `refuse` has checked for unsupported options."""

    @abstractmethod
    def filters(self, spec: Document) -> list[Document]:
        """The parts of a spec that each carry a filter."""

    @abstractmethod
    def source(self, part: Document) -> Document:
        """The mapping in a filter's part that holds its `url` and `sha256`."""

    @abstractmethod
    def fails_open(self, part: Document) -> bool:
        """Whether requests bypass this part's filter when it cannot run."""

    @property
    def line(self) -> str:
        """The product's name on the command line."""
        return self.product.lower().replace(" ", "-")

    def releases(self) -> Mapping[str, Nodes]:
        """The fields of this kind in each release that has it, from the oldest."""
        return products()[self.line].kinds[f"{self.kind} {self.api_version}"]

    def known_releases(self) -> Sequence[str]:
        """All releases of the product that are known, from the oldest."""
        return list(products()[self.line].releases)

    def needs(self, spec: Document) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """What a spec needs that no CRD shows: the first release that has it, and what it is."""
        yield from ()

    def refuse(self, placement: Placement) -> None:
        """Raise `UsageError` if `placement` has something that this kind does not support."""
        self._refuse_types(placement)
        if placement.selector and placement.targets:
            raise UsageError("--selector and --target are mutually exclusive", hint="a resource has one or the other")
        for field, option in OPTIONS.items():
            if field in self.unsupported and getattr(placement, field) not in (None, (), [], {}):
                raise UsageError(f"{self} does not support {option}", hint=self.unsupported[field])
        for target, _ in placement.targets:
            if target not in self.targets:
                raise UsageError(
                    f"{self} does not support the target {target}", hint=f"use one of: {', '.join(self.targets)}"
                )
        if placement.fail_strategy not in (None, *self.fail_strategies):
            raise UsageError(
                f"{self.product} does not support {placement.fail_strategy}",
                hint="use FAIL_CLOSE: after a crash, requests get 503 until the proxy restarts",
            )

    def _refuse_types(self, placement: Placement) -> None:
        if placement.carries and not set(placement.carries) & set(self.types):
            raise UsageError(
                f"{self} cannot carry a TCP filter",
                why="It is for HTTP filters; the module has callbacks for connections only.",
                hint="use Istio's --kind WasmPlugin or TrafficExtension",
            )
        if placement.carries and placement.type not in (None, *placement.carries):
            words = {"HTTP": "requests", "NETWORK": "connections"}
            raise UsageError(
                f"the module is not of type {placement.type}",
                why=f"It has callbacks for {words[placement.carries[0]]}, and none for {words[placement.type or '']}:"
                " traffic would pass it by.",
                hint=f"omit --type, or use --type {placement.carries[0]}",
            )

    def lacks_reload(self, spec: Document, release: str) -> bool:  # noqa: ARG002
        """Whether a spec would say FAIL_RELOAD by default, and `release` does not have it."""
        return False

    def cautions(self, spec: Document) -> Iterator[str]:
        """Warnings about what is valid but may surprise."""
        for part in self.filters(spec):
            yield from self.cautions_of_filter(part)

    def cautions_of_filter(self, part: Document) -> Iterator[str]:
        """The warnings about one part of the spec."""
        source = self.source(part)
        url = source["url"]
        if not (source.get("sha256") or sha256_in(url) or url.startswith("file://")):
            yield f"{url} is not pinned: anyone who can push to it can change what runs; pin its digest with --sha256"
        if self.fails_open(part):
            yield "a filter that fails open is bypassed after a crash until the proxy restarts: not for access control"

    def condition_lists(self, status: Document) -> list[tuple[str, list[Document]]]:
        """The lists of conditions in a status, all of which must hold: a policy has one for each of its ancestors."""
        ancestors = mappings(status, "ancestors")
        if not ancestors:
            return [("", mappings(status, "conditions"))]
        return [(_ancestor(mapping(item, "ancestorRef")), mappings(item, "conditions")) for item in ancestors]

    def analysis_errors(self, status: Document) -> Iterator[str]:  # noqa: ARG002
        """Errors that the product reports in addition to the conditions."""
        yield from ()

    def __str__(self) -> str:
        return f"{self.product} {self.kind}"


def _ancestor(ref: Document) -> str:
    return f"{text(ref, 'kind') or 'Gateway'}/{text(ref, 'name')}" if text(ref, "name") else ""


def given(**fields: Any) -> Document:
    """The fields that are present."""
    return {name: value for name, value in fields.items() if value is not None}
