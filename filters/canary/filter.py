"""canary: sends some of the clients to another version, and each client to the same version every time.

The variant is set in a request header, by which Envoy's routes select the cluster. Changing a request header makes
Envoy select the route again, so nothing else is needed. A value that a client sends in that header is replaced.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Annotated

import pwasm
from pwasm import HttpContext, PluginContext
from pwasm.config import Range

Percent = Annotated[float, Range(0, 100)]
BUCKETS = 10_000
COOKIE_VALUE = re.compile(r"[0-9a-f]{32}")


@dataclass
class Config:
    """The distribution of clients. If a variant gets a higher percentage, its clients stay with it."""

    variants: dict[str, Percent] = field(metadata={"description": "Percentage of the clients, by variant."})
    default: str = field(default="stable", metadata={"description": "The variant of all other clients."})
    header: str = field(default="", metadata={"description": "The header that identifies clients, if present."})
    cookie: str = field(default="variant_id", metadata={"description": "The cookie that identifies all other clients."})
    cookie_seconds: Annotated[int, Range(1, 34_560_000)] = 2_592_000
    choose_header: str = field(
        default="x-choose-variant",
        metadata={"description": 'Header by which clients may choose a variant; "" for none.'},
    )
    route_header: str = "x-variant"
    salt: str = field(default="", metadata={"description": "A different salt redistributes the clients."})

    def __post_init__(self) -> None:
        if sum(self.variants.values()) > 100:
            raise ValueError("the variants add up to more than 100 percent")

    def variant(self, client: str) -> str:
        """The variant of a client, the same every time and in every worker."""
        data = f"{self.salt}\0{client}".encode(errors="surrogateescape")
        bucket = int.from_bytes(hashlib.sha256(data).digest()[:8]) % BUCKETS
        for name, percent in self.variants.items():
            bucket -= round(percent * BUCKETS / 100)
            if bucket < 0:
                return name
        return self.default


class Plugin(PluginContext):
    config: Config


class Canary(HttpContext):
    plugin: Plugin
    snapshot_request_headers = False  # they are not used later
    variant = ""
    new_cookie = ""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        config = self.plugin.config
        self.variant = self.chosen() or config.variant(self.client())
        pwasm.replace_http_request_header(config.route_header, self.variant)

    def chosen(self) -> str:
        """The variant that the client requests, if it exists."""
        config = self.plugin.config
        asked = pwasm.get_http_request_header(config.choose_header) if config.choose_header else None
        return asked if asked and (asked in config.variants or asked == config.default) else ""

    def client(self) -> str:
        """An identifier shared by all requests of a client: a header, or else our cookie, which is new if necessary."""
        config = self.plugin.config
        given = pwasm.get_http_request_header(config.header) if config.header else None
        if given:
            return f"h:{given}"
        for line in self.request.headers.get_all("cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == config.cookie and COOKIE_VALUE.fullmatch(value):
                    return f"c:{value}"
        self.new_cookie = secrets.token_hex(16)
        return f"c:{self.new_cookie}"

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        config = self.plugin.config
        if self.variant:
            pwasm.replace_http_response_header(config.route_header, self.variant)
        if self.new_cookie:
            cookie = (
                f"{config.cookie}={self.new_cookie}; Path=/; Max-Age={config.cookie_seconds}; HttpOnly; SameSite=Lax"
            )
            pwasm.add_http_response_header("set-cookie", cookie)


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Canary)
