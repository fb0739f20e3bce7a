"""Responds with the metadata of its route, by type."""

import pwasm
from pwasm import Action, HttpContext, properties
from pwasm.properties import mapping_of, number_of, sequence_of

PATH = ("filter_metadata", "my.filter")


class Metadata(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        found = properties.xds.route_metadata
        everything = found.mapping(*PATH) or {}
        nested = found.mapping(*PATH, "map") or {}
        shown = [
            found.text(*PATH, "text"),
            found.number(*PATH, "number"),
            found.flag(*PATH, "yes"),
            found.flag(*PATH, "no"),
            found.number(*PATH, "missing"),
            sorted(everything),
            {name: number_of(value) for name, value in nested.items() if name != "more"},
            [number_of(item) for item in found.sequence(*PATH, "list") or ()],
            found.number(*PATH, "list", "1"),
            found.text(*PATH, "map", "more", "deep"),
            mapping_of(nested["more"]),
            [sequence_of(item) for item in found.sequence(*PATH, "lists") or ()],
        ]
        pwasm.send_http_response(200, body=repr(shown))
        return Action.PAUSE


pwasm.set_http_context(Metadata)
