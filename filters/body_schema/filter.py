"""body_schema: lets requests through whose JSON body conforms to the schema in the configuration."""

import itertools
import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from schema import compiled

import pwasm
from pwasm import Action, HttpContext, PluginContext

MOST_PROBLEMS = 10


@dataclass
class Config:
    """The schema of bodies, and the requests to which it applies."""

    schema: dict[str, Any] = field(metadata={"description": "JSON Schema; see the README for the keywords."})
    methods: set[str] = field(default_factory=lambda: {"POST", "PUT", "PATCH"})
    prefix: str = field(default="/", metadata={"description": "Prefix of the paths to check; other requests pass."})

    def __post_init__(self) -> None:
        self.check = compiled(self.schema)


class Plugin(PluginContext):
    config: Config


class Validation(HttpContext):
    plugin: Plugin
    buffer_request_body = True
    edits_request_body = False  # keep `content-length`
    snapshot_request_headers = False
    max_body_bytes = 256 * 1024  # 413 beyond
    checked = False

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config, headers = self.plugin.config, self.request.headers
        if headers[":method"] not in config.methods or not headers[":path"].startswith(config.prefix):
            return Action.CONTINUE
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            return refuse(415, [("", "content-type must be application/json")])
        if "content-encoding" in headers:
            return refuse(415, [("", "the body must not be compressed")])
        if end_of_stream:
            return refuse(400, [("$", "is missing")])
        self.checked = True
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not self.checked:
            return Action.CONTINUE
        try:
            document = parsed(self.request.body)
            problems = list(itertools.islice(self.plugin.config.check(document, "$"), MOST_PROBLEMS))
        except (ValueError, RecursionError) as error:
            pwasm.log_info("the body is not JSON, or nested too deeply: %s", error)
            problems = [("$", "is not JSON, or is nested too deeply")]
        return refuse(400, problems) if problems else Action.CONTINUE


def parsed(body: bytes) -> Any:
    """The document, if all parsers read it alike: UTF-8, JSON numbers, no duplicate members.

    Raises:
        ValueError, RecursionError: otherwise.
    """
    return json.loads(body.decode(), object_pairs_hook=_members_once, parse_constant=_no_constant)


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def refuse(status: int, problems: list[tuple[str, str]]) -> Action:
    """Respond with the problems and their places; of the client's data, only member names are included."""
    errors = [{"path": path, "reason": reason} for path, reason in problems]
    pwasm.send_http_response(status, {"content-type": "application/json"}, json.dumps({"errors": errors}) + "\n")
    return Action.PAUSE


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Validation)
