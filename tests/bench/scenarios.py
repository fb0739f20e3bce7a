"""The work of the filters: one row per scenario. A peer has the source of each under peers/<peer>/<scenario>.

Every peer must do the same work, and `servers.check_answer` looks at each answer's headers before and after the load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pwasm_compiler.bench.load import Request


@dataclass(frozen=True)
class Scenario:
    """One kind of work: a filter that has done it has logged `message` and has put `headers` into the response."""

    name: str
    about: str
    message: str
    headers: Mapping[str, str]
    request: Request = field(default_factory=Request)


# floor.wat takes the value of "id" from the end, where it has its place; all others have to read up to it.
_ORDER = {
    "event": "order.placed",
    "version": 3,
    "live": True,
    "created": "2026-02-11T17:42:09.512Z",
    "customer": {
        "name": "Zoë Müller",
        "email": "zoe.mueller@example.com",
        "address": {"street": "Rue de l'Hôpital 7", "zip": "2502", "city": "Biel/Bienne", "country": "CH"},
        "tags": ["wholesale", "newsletter", "net-30"],
    },
    "items": [
        {
            "sku": f"BX-{4711 + 13 * number}",
            "name": f"Storage box, {10 * number + 5} litres, lid and 2 wheels",
            "quantity": number % 4 + 1,
            "price": 12.95 + 3.5 * number,
            "weight": 1.25 * number or -2e-05,
            "gift": number % 3 == 0,
            "discount": None,
        }
        for number in range(11)
    ],
    "note": 'Ring "twice",\nthen leave it at the café \N{HOT BEVERAGE}\N{GRINNING FACE} next door (key under C:\\mat).',
    "total": 466.45,
    "id": "ord-8f14e45fceea167a",
}
_PLACE_ORDER = Request(
    "POST",
    "/orders?source=shop",
    {
        "content-type": "application/json",
        "accept": "application/json, text/plain;q=0.8",
        "accept-language": "de-CH,de;q=0.9,en;q=0.5",
        "authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl",
        "cookie": "session=5b1d7f2ab0c94e3f; theme=dark",
        "user-agent": "pwasm-bench/1.0 (wrk)",
        "x-tenant": "shop-ch",
        "x-trace": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    json.dumps(_ORDER, separators=(",", ":")).encode("ascii"),
)
# The ten headers every filter reads: :method, :path and those above.
_READ = sum(map(len, (_PLACE_ORDER.method, _PLACE_ORDER.path, *_PLACE_ORDER.headers.values())))

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "headers",
        "a callback on the request headers that logs one message below the level Envoy shows, "
        "and one on the response headers that adds one header",
        "request headers",
        {"x-wasm-custom": "FOO"},
    ),
    Scenario(
        "json",
        "10 request headers are read one by one, a request body of 2 kB is taken as a whole and parsed as JSON for one "
        "of its fields, one message is logged below the level Envoy shows, and 3 response headers are added. Lua has "
        "no JSON of its own, so its script brings a parser; floor parses nothing and takes the field from its place",
        "request body",
        {"x-wasm-custom": "FOO", "x-wasm-read": str(_READ), "x-wasm-order": str(_ORDER["id"])},
        _PLACE_ORDER,
    ),
)
RELOADED = "headers"
"""In which the reload of a VM is measured: its filter needs no callback for bodies, so that one can be made to trap."""
