"""Several configurations in one plugin, of which Higress's rules choose one for each request; see `_config.rules`.

Each configuration has a plugin of its own: a PluginContext that was started with it, in a Root of its own with the same
id. So code written for one configuration works for several: what `on_plugin_start` makes of `self.configuration` or
`self.config` is there for the requests to which that configuration applies, and `self.plugin` is the one that applies.
The host knows only one context and one timer, which they share: a tick or an item of a queue is for each of them.

The choice is made when the request's headers arrive, as in Higress's own SDK. A stream without a choice has no context:
nothing of the filter runs for it. That is so

- if no rule matches and there is no default;
- if the filter does not see the request's headers, because an earlier filter or Envoy itself has answered.

If the host refuses to tell what the choice depends on, the request is answered with 500: the filter may be there to
refuse it. A request without `:authority` (Envoy answers such with 400, so a filter has removed it) has the host "".

A filter without rules pays for none of this: its root has `rules` None, and its streams are the usual ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._abi import LogLevel, MapType, Status
from .._config.binding import fill, refuse
from .._hostcalls.properties import get_property
from .._serde import to_text
from .._stream.current import current
from .._stream.guards import failed
from .._stream.log import log_lines
from .._stream.phases import PHASES
from .._stream.policy import accepted, name_of
from .._stream.records import Root, Timers
from .._stream.report import report
from .._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._config.rules import Part, Rule

TRACEBACK_STARTS_BELOW = True  # see `report`

_REQUEST_HEADERS = int(MapType.HTTP_REQUEST_HEADERS)


class Rules:
    """The plugins of a root with several configurations: the rules' in their order, and the default's, if any."""

    __slots__ = ("default", "roots", "rules")

    def __init__(self, parts: Sequence[Part], roots: Sequence[Root]) -> None:
        pairs = list(zip(parts, roots, strict=True))
        self.roots = tuple(roots)
        self.rules: list[tuple[Rule, Root]] = [(part.rule, root) for part, root in pairs if part.rule is not None]
        self.default = next((root for part, root in pairs if part.rule is None), None)

    def chosen(self) -> Root | None:
        """The plugin for the request whose headers have arrived; None if it is not filtered.

        Raises:
            HostcallError: the host refuses to tell what the choice depends on.
        """
        request = _Request()
        return next((root for rule, root in self.rules if rule.matches(request)), self.default)

    def with_call(self, token: int) -> Root | None:
        """The plugin that has made a callout."""
        return next((root for root in self.roots if token in root.calls), None)


class _Request:
    """The request whose headers have arrived. What rules ask for is asked of the host once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def host(self) -> str:
        return self._header(":authority")

    def route(self) -> str:
        return self._property("route_name")

    def cluster(self) -> str:
        return self._property("cluster_name")

    def consumer(self) -> str:
        return self._header("x-mse-consumer")

    def _header(self, name: str) -> str:
        if name not in self._known:
            status, value = current.host.proxy_get_header_map_value(_REQUEST_HEADERS, name)
            if status not in (Status.OK, Status.NOT_FOUND):
                raise failed(status, "proxy_get_header_map_value", name)
            self._known[name] = to_text(value) if status == Status.OK else ""
        return self._known[name]

    def _property(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = to_text(get_property(name) or b"")
        return self._known[name]


def roots_of(root: Root) -> tuple[Root, ...]:
    """The plugin of a root, or those of all its configurations."""
    return (root,) if root.rules is None else root.rules.roots


def configure(root: Root, create: Callable[[Root], Root]) -> bool | None:
    """Start a plugin for each configuration; False if one is refused, and None if there is only one, without rules.

    `create` makes another plugin for the same root.
    """
    # In the module if it may have an HTTP filter, see `entrypoint`.
    from .._config.rules import parts_of
    from .._config.text import ConfigError

    roots: list[Root] = []
    try:
        parts = parts_of(root.context.configuration)
        if parts is not None and (parts[1:] or parts[0].rule is not None):
            roots = _twins(root, len(parts), create)
    except ConfigError as error:
        refuse(error)
        return False  # rules that it has already stay in force
    if root.rules is not None:  # it is configured again
        _take_over(root, root.rules.roots[0])
        root.rules = None
    if parts is None:
        return None
    if roots:
        root.make_http = None
        root.rules = Rules(parts, roots)
    return all(_starts(plugin, part) for plugin, part in zip(roots_of(root), parts, strict=True))


def _twins(root: Root, count: int, create: Callable[[Root], Root]) -> list[Root]:
    """A plugin for each of so many configurations, of which the first is the one that `root` has.

    Raises:
        ConfigError: the filter cannot have several.
    """
    from .._config.rules import RULES
    from .._config.text import ConfigError

    if root.tcp is not None:  # it would never see a connection
        raise ConfigError([f"$.{RULES}: rules choose by the request, and this plugin has a filter for connections"])
    root.timers = root.timers or Timers()
    first = Root(root.id, root.streams, root.vm)
    _take_over(first, root if root.rules is None else root.rules.roots[0])
    roots = [first, *(create(root) for _ in range(1, count))]
    if len({id(one.context) for one in roots}) < count:  # the last configuration would be that of all requests
        raise ConfigError([f"$.{RULES}: new_plugin_context returns one object for several configurations"])
    return roots


def _take_over(root: Root, other: Root) -> None:
    """Give a root the plugin and the classes of another."""
    for name in ("context", "holds_headers", "http", "make_http", "tcp", "timers", "traits"):
        setattr(root, name, getattr(other, name))


def _starts(root: Root, part: Part) -> bool:
    current.root = root
    context, phase = root.context, PHASES["proxy_on_configure"]
    context.configuration = part.text
    if part.rule is not None and part.rule.ignored:
        names = ", ".join(part.rule.ignored)
        log_lines(LogLevel.WARN, f"{part.where}: {names} does not count beside the others, as everywhere in Higress")
    if not fill(root, part):
        return False
    try:
        started = accepted(context.on_plugin_start(len(context.configuration)))
    except BaseException as error:
        report(phase.level, f"{name_of(context, phase)} failed for {part.where}: start refused", error)
        return False
    if not started:
        log_lines(LogLevel.CRITICAL, f"{name_of(context, phase)} has refused {part.where}")
    return started
