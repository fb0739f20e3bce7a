"""Higress's rules: which of several configurations applies to a request.

Higress writes the `matchRules` of its WasmPlugin into the plugin's configuration, beside the `defaultConfig`, and
leaves it to the plugin to choose:

    {
      "header": "x-a",                                                  the default: for requests without a rule
      "_rules_": [
        {"_match_route_": ["default/foo"], "header": "x-b"},            a rule: conditions, and a whole configuration
        {"_match_domain_": ["*.example.com"], "header": "x-c"}
      ]
    }

Here as in Higress's own SDK (higress-group/wasm-go, pkg/matcher/rule_matcher.go and pkg/wrapper/plugin_wrapper.go):

- The first rule in the list that matches is the one; which is more specific does not count. A request without one gets
  the default. There is no default if the configuration has nothing but `_rules_`: such a request is not filtered.
- A rule has one kind of conditions, of which one must match; `_EFFECTIVE` says which kind counts of several.
- Names are compared as they are. A domain is `*`, `*.suffix`, `prefix.*`, or exact; any other `*` is a character. The
  host is that of `:authority`, without a port.
- A service is `name` or `name:port`, of a cluster that is called `outbound|port|subset|name`.

Differences from it, all of which filter or refuse more (docs/configuration.md): letters of a host may be in either
case, as they may for Envoy's own routes, so that `Host: A.ORG` does not pass by a rule for `a.org`; a request without
a host gets the default; a default that the filter does not accept, which there means no default, conditions that are
not text, or misspelt, and duplicate names are refused.

A rule does not inherit from the default. `_plugin_id_`, which is for logs, is taken out.
"""

from __future__ import annotations

import json

from .._typing import Any, Final, NamedTuple, Protocol
from .objects import Object, Problems, kind, report_duplicates
from .text import ConfigError, parse

RULES: Final = "_rules_"
_OF_THE_DEFAULT: Final = (RULES, "_plugin_id_")
_ROUTE, _DOMAIN, _SERVICE = "_match_route_", "_match_domain_", "_match_service_"
_PREFIX, _CONSUMER = "_match_route_prefix_", "_match_consumer_"
CONDITIONS: Final = (_ROUTE, _DOMAIN, _SERVICE, _PREFIX, _CONSUMER)
_SUFFICIENT: Final = CONDITIONS[:-1]

_EFFECTIVE: Final = (
    (_ROUTE, _SERVICE),
    (_ROUTE,),
    (_DOMAIN,),
    (_SERVICE,),
    (_PREFIX, _CONSUMER),
    (_PREFIX,),
)
"""The conditions that count: those of the first row that the rule has completely. Both of a row must match."""


class Request(Protocol):
    """What is asked about a request; "" for what it does not have."""

    def host(self) -> str:
        """`:authority`."""

    def route(self) -> str:
        """The property `route_name`."""

    def cluster(self) -> str:
        """The property `cluster_name`."""

    def consumer(self) -> str:
        """The header `x-mse-consumer`, in which Higress's authentication plugins pass on who it is."""


class Domain(NamedTuple):
    """A domain of a rule, or what it begins or ends with."""

    text: str
    form: str

    def matches(self, host: str) -> bool:
        """Whether a host without port is of this domain."""
        if self.form == "exact":
            return host == self.text
        return host.endswith(self.text) if self.form == "suffix" else host.startswith(self.text)


def lower(text: str) -> str:
    """`text` with small letters for those of ASCII, as hosts are compared: U+212A is no `k`."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def domain(text: str) -> Domain:
    """The domain that a text stands for; a leading `*` counts before a trailing one."""
    text = lower(text)
    if text.startswith("*"):
        return Domain(text[1:], "suffix")
    return Domain(text[:-1], "prefix") if text.endswith("*") else Domain(text, "exact")


def without_port(authority: str) -> str:
    """The host of an authority; an IPv6 address is in brackets."""
    colon = authority.rfind(":")
    return authority[:colon] if colon > authority.rfind("]") else authority


def names_of(cluster: str) -> tuple[str, ...]:
    """What a rule may call the service of a cluster; empty for clusters that are not named by Istio's scheme."""
    parts = cluster.split("|")
    if len(parts) != 4:
        return ()
    _, port, _, name = parts
    return (name,) if ":" in port else (name, f"{name}:{port}")


class Rule(NamedTuple):
    """The conditions of a rule that count; the others are empty."""

    routes: frozenset[str] = frozenset()
    domains: tuple[Domain, ...] = ()
    services: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    consumers: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()
    """Conditions that it has beside those that count."""

    def matches(self, request: Request) -> bool:
        """Whether the rule applies to a request."""
        if self.domains:
            host = lower(without_port(request.host()))
            return any(one.matches(host) for one in self.domains)
        if self.routes and request.route() not in self.routes:
            return False
        if self.services and not self.services.intersection(names_of(request.cluster())):
            return False
        if self.prefixes and not request.route().startswith(self.prefixes):
            return False
        return not self.consumers or request.consumer() in self.consumers


class Part(NamedTuple):
    """One of the configurations, with its conditions; the default has none."""

    where: str
    """Its path in the whole: `$._rules_[0]`."""
    value: Object
    rule: Rule | None

    @property
    def text(self) -> bytes:
        """What the filter gets as its configuration."""
        return json.dumps(self.value).encode()


def parts_of(text: bytes | str) -> list[Part] | None:
    """The configurations in a text, the default first if there is one; None if it has nothing of Higress in it.

    Raises:
        ConfigError: it has rules, and something about them is wrong.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    if not any(name.encode() in data for name in _OF_THE_DEFAULT) and b"\\u" not in data:
        return None  # the usual case, which is not worth reading it twice
    try:
        whole = parse(text)
    except ConfigError:
        if RULES.encode() in data:
            raise
        return None  # for the filter to say
    if not isinstance(whole, Object) or not any(name in whole for name in _OF_THE_DEFAULT):
        return None
    problems: Problems = []
    report_duplicates(whole, "$", problems)
    default = _without(whole, _OF_THE_DEFAULT)
    given = whole.get(RULES)
    if given is not None and not isinstance(given, list):
        problems.append(f"$.{RULES}: expected array, got {kind(given)}")
    found = [_rule(value, f"$.{RULES}[{at}]", problems) for at, value in enumerate(given or ())] if not problems else []
    if not problems and not found and not default and RULES in whole:
        problems.append(f"$.{RULES}: it is empty, and there is no default: no request would be filtered")
    if problems:
        raise ConfigError(problems)
    return [*([Part("$", default, None)] if default or not found else []), *found]


def _rule(value: Any, where: str, problems: Problems) -> Part:
    if not isinstance(value, Object):
        problems.append(f"{where}: expected object, got {kind(value)}")
        return Part(where, Object(), None)
    report_duplicates(value, where, problems)
    problems += [
        f"{where}.{name}: unknown condition; those of Higress are {', '.join(CONDITIONS)}"
        for name in value
        if name.startswith("_match_") and name not in CONDITIONS
    ]
    before = len(problems)
    given = {name: _texts(value.get(name), name, f"{where}.{name}", problems) for name in CONDITIONS}
    used = next((row for row in _EFFECTIVE if all(given[name] for name in row)), ())
    if not used and len(problems) == before:
        problems.append(f"{where}: it has no condition, that is, none of {', '.join(_SUFFICIENT)}")
    counts = {name: texts if name in used else [] for name, texts in given.items()}
    rule = Rule(
        routes=frozenset(counts[_ROUTE]),
        domains=tuple(map(domain, counts[_DOMAIN])),
        services=frozenset(counts[_SERVICE]),
        prefixes=tuple(counts[_PREFIX]),
        consumers=frozenset(counts[_CONSUMER]),
        ignored=tuple(name for name, texts in given.items() if texts and name not in used),
    )
    return Part(where, _without(value, CONDITIONS), rule)


def _texts(given: Any, name: str, where: str, problems: Problems) -> list[str]:
    """The texts of a condition: a list, or a single one; empty texts match nothing, but for a domain."""
    texts = [] if given is None else given if isinstance(given, list) else [given]
    wrong = [(at, item) for at, item in enumerate(texts) if not isinstance(item, str)]
    problems += [f"{where}[{at}]: expected str, got {kind(item)}" for at, item in wrong]
    return [item for item in texts if item or name == _DOMAIN] if not wrong else []


def _without(value: Object, names: tuple[str, ...]) -> Object:
    left = Object((name, item) for name, item in value.items() if name not in names)
    left.duplicates = tuple(name for name in value.duplicates if name not in names)
    return left
