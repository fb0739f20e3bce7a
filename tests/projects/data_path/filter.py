"""Filters that were bypassed, or hung, where another filter of the chain pauses, and one that decides by the body."""

import json

import pwasm
from pwasm import Action, aio


class Whole(pwasm.HttpContext):
    """Refuses bodies with "evil" in them."""

    buffer_request_body = True
    edits_request_body = False
    buffer_response_body = True
    edits_response_body = False

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        body = pwasm.get_http_request_body()
        pwasm.log_info(f"request {body.decode()}")
        if b"evil" in body:
            pwasm.send_http_response(403, body=b"blocked")
            return Action.PAUSE
        return Action.CONTINUE

    def on_http_response_body(self, size: int, end_of_stream: bool) -> Action:
        pwasm.log_info(f"response {pwasm.get_http_response_body().decode()[:20]}")
        return Action.CONTINUE


class Scan(pwasm.HttpContext):
    """Asks a scanner about each piece."""

    async def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
        piece = pwasm.get_http_request_body()
        if piece:
            pwasm.log_info(f"piece {piece.decode()}")
            await aio.dispatch_http_call("scan", [(":method", "POST"), (":path", "/"), (":authority", "scan")], piece)
            pwasm.log_info("scanned")
        if b"evil" in piece:
            pwasm.send_http_response(403)


class Router(pwasm.HttpContext):
    """The model named in the body decides where the request goes."""

    buffer_request_body = True
    holds_request_headers = True

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        asked = json.loads(self.request.body)
        provider, _, asked["model"] = asked["model"].partition("/")
        self.request.headers["x-provider"] = provider
        self.request.headers[":path"] = f"/{provider}/v1"
        self.request.body = json.dumps(asked).encode()
        return Action.CONTINUE


class Refusing(Whole):
    """Allows no upgrades, as it is the default of classes that inspect bodies."""


class Passing(Whole):
    """Does not look at upgraded streams."""

    upgrades = "pass"


class Streaming(Whole):
    """Sees the pieces of upgraded streams."""

    upgrades = "stream"


pwasm.set_http_context(Whole)
for made in (Whole, Scan, Router, Refusing, Passing, Streaming):
    pwasm.set_http_context(made, root_id=made.__name__.lower())
