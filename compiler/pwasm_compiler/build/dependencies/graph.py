"""Who requires whom: the requirements of a filter, followed through the distributions that pip has chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .distribution import Distribution, by_key
from .pip import MARKERS


@dataclass(frozen=True, slots=True)
class Need:
    """One requirement that applies in the module."""

    requirement: Requirement
    by: Need | None = None
    """The need that brought the distribution in whose metadata it is; None for one of the filter's own."""
    extra: str = ""
    """The extra of that distribution that it is for, or ""."""

    @property
    def key(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def text(self) -> str:
        """As in the metadata, without the marker."""
        extras = f"[{','.join(sorted(self.requirement.extras))}]" if self.requirement.extras else ""
        url = f" @ {self.requirement.url}" if self.requirement.url else ""
        return f"{self.requirement.name}{extras}{self.requirement.specifier}{url}"

    @property
    def chain(self) -> tuple[Need, ...]:
        """From one of the filter's own requirements down to this one."""
        return (*(self.by.chain if self.by else ()), self)


def needs(requirements: Sequence[str], distributions: Iterable[Distribution]) -> Iterator[Need]:
    """Every requirement that applies, nearest to the filter first."""
    found = by_key(distributions)
    queue = [Need(requirement) for requirement in _own(requirements, found.values()) if _applies(requirement, "")]
    seen: set[tuple[str, str]] = set()
    while queue:
        need = queue.pop(0)
        yield need
        distribution = found.get(need.key)
        for extra in ("", *sorted(need.requirement.extras)):
            if distribution is not None and (need.key, extra) not in seen:
                seen.add((need.key, extra))
                queue += [Need(requirement, need, extra) for requirement in _required(distribution, extra)]


def first_need(key: str, requirements: Sequence[str], distributions: Iterable[Distribution]) -> Need | None:
    """The nearest requirement that names a distribution."""
    return next((need for need in needs(requirements, distributions) if need.key == key), None)


def nearest_first(requirements: Sequence[str], distributions: Sequence[Distribution]) -> list[Distribution]:
    """The distributions in the order in which the requirements lead to them."""
    order = list(dict.fromkeys(need.key for need in needs(requirements, distributions)))
    return sorted(distributions, key=lambda found: order.index(found.key) if found.key in order else len(order))


def _own(requirements: Sequence[str], distributions: Iterable[Distribution]) -> Iterator[Requirement]:
    named = set()
    for text in requirements:
        own = parsed(text)
        if own is not None:
            named.add(canonicalize_name(own.name))
            yield own
    for distribution in distributions:  # a bare URL or path names nobody, but pip says whom it was for
        if distribution.is_requested and distribution.key not in named:
            yield Requirement(distribution.name)


def _required(distribution: Distribution, extra: str) -> Iterator[Requirement]:
    """What it requires by itself, or for one of its extras only."""
    for requirement in filter(None, map(parsed, distribution.requires)):
        if _applies(requirement, extra) and not (extra and _applies(requirement, "")):
            yield requirement


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**MARKERS, "extra": extra})


def parsed(text: str) -> Requirement | None:
    """A requirement; None for a bare URL or path, which pip takes, too."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None
