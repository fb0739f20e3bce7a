"""A kind of resource that carries a filter: what all of them share. A new kind is a subclass, and a row of `KINDS`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pwasm_compiler.digests import sha256_in, sha256_of
from pwasm_compiler.errors import UsageError
from pwasm_compiler.kube.schemas import Schema

Document = dict[str, Any]
"""A resource, or a part of one, as YAML has it."""
Rule = Callable[[Any], str | None]
"""What a schema cannot say: takes the spec and answers with a sentence, or None."""

FAIL_STRATEGIES = ("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD")
OPTIONS = {
    # field of a `Placement` that not every kind has → its option on the command line
    "selector": "--selector", "targets": "--target", "phase": "--phase", "priority": "--priority",
    "match": "--match", "type": "--type",
}  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """A filter in a registry and where it is to run; None and empty mean: not said.

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

    @property
    def pin(self) -> str | None:
        """The digits for `sha256`; `UsageError` if they contradict those in the URL."""
        in_url = sha256_in(self.url)
        chosen = None if self.sha256 is None else sha256_of(self.sha256)
        if in_url and chosen and in_url != chosen:
            raise UsageError("--sha256 and the digest in the reference differ", hint="the reference's digest is enough")
        return chosen or in_url


class ResourceKind(ABC):
    """One kind of resource that carries a filter, and what its product makes of it."""

    name: ClassVar[str]
    """On the command line. Two products have a kind of one name, so this need not be `kind`."""
    api_version: ClassVar[str]
    kind: ClassVar[str]
    resource: ClassVar[str]
    """How kubectl names it without doubt."""
    product: ClassVar[str]
    schema: ClassVar[Schema]
    """Of the spec."""
    rules: ClassVar[tuple[Rule, ...]] = ()
    targets: ClassVar[Mapping[str, str]] = {}
    """Kind of a target → its API group."""
    cannot_say: ClassVar[Mapping[str, str]] = {}
    """Field of a `Placement` that the kind has no word for → what to do instead."""
    fail_strategies: ClassVar[tuple[str, ...]] = FAIL_STRATEGIES
    condition: ClassVar[str | None]
    """The status condition that says it is in force; None where the product writes none."""
    silence: ClassVar[str] = ""
    """Why there may be no status at all; empty where the product always writes one."""
    false_is_final: ClassVar[bool] = True
    """Whether a condition that is False is the last word."""
    analysis_command: ClassVar[str] = ""
    """What explains an error of `analysis_errors`."""
    gateway_service: ClassVar[tuple[str, str] | None] = None
    """Service and namespace of the product's own gateway, which has no Gateway resource."""
    needs_gateway_api: ClassVar[bool] = False

    @abstractmethod
    def spec(self, placement: Placement) -> Document:
        """The spec for `placement`, of which `refuse` has taken what this kind cannot say."""

    @abstractmethod
    def filters(self, spec: Document) -> list[Document]:
        """The parts of a spec that carry a filter each."""

    @abstractmethod
    def source(self, part: Document) -> Document:
        """Where in a filter's part its `url` and `sha256` stand."""

    @abstractmethod
    def fails_open(self, part: Document) -> bool:
        """Whether requests pass a filter of this part that cannot run."""

    def refuse(self, placement: Placement) -> None:
        """Raise `UsageError` if `placement` says something that this kind cannot say."""
        if placement.selector and placement.targets:
            raise UsageError("--selector and --target exclude each other", hint="a resource has one or the other")
        for field, option in OPTIONS.items():
            if field in self.cannot_say and getattr(placement, field) not in (None, (), [], {}):
                raise UsageError(f"{option} means nothing to {self}", hint=self.cannot_say[field])
        for target, _ in placement.targets:
            if target not in self.targets:
                raise UsageError(f"{self} has no target {target}", hint=f"its targets are: {', '.join(self.targets)}")
        if placement.fail_strategy not in (None, *self.fail_strategies):
            raise UsageError(
                f"{self.product} knows no {placement.fail_strategy}",
                hint="use FAIL_CLOSE: a VM that crashed answers 503 until the proxy restarts",
            )

    def cautions(self, spec: Document) -> Iterator[str]:
        """What is allowed and may surprise."""
        for part in self.filters(spec):
            yield from self.cautions_of_filter(part)

    def cautions_of_filter(self, part: Document) -> Iterator[str]:
        """The cautions that one part of the spec deserves."""
        source = self.source(part)
        url = source["url"]
        if not (source.get("sha256") or sha256_in(url) or url.startswith("file://")):
            yield f"{url} is not pinned: whoever may push to it changes what runs; name its digest with --sha256"
        if self.fails_open(part):
            yield "a filter that fails open is off after a crash until the proxy restarts: not for access control"

    def condition_lists(self, status: Document) -> list[list[Document]]:
        """The lists of conditions in a status, all of which count."""
        return [status.get("conditions") or []]

    def analysis_errors(self, status: Document) -> Iterator[str]:  # noqa: ARG002
        """Errors that the product writes beside the conditions."""
        yield from ()

    def __str__(self) -> str:
        return f"{self.kind} of {self.product}"


def given(**fields: Any) -> Document:
    """The fields that are there."""
    return {name: value for name, value in fields.items() if value is not None}
