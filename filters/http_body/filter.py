"""http_body: changes the body of a request or of its response, or sends it back.

The request's headers select the operation: `buffer-replace-at: request` (default) or `response`, and
`buffer-operation: append`, `prepend` or, for any other value, replace. With the configuration `echo` the filter
responds with the request's body.
"""

import pwasm
from pwasm import Action, HttpContext, PluginContext

REPLACEMENT = b"[this is replaced body]"
TEXTS = {"append": b"[this is appended body]", "prepend": b"[this is prepended body]"}
REQUEST_EDITS = {"append": pwasm.append_http_request_body, "prepend": pwasm.prepend_http_request_body}
RESPONSE_EDITS = {"append": pwasm.append_http_response_body, "prepend": pwasm.prepend_http_response_body}


class EditBody(HttpContext):
    # One call with the whole body; the SDK removes `content-length`, which would be wrong after the edit.
    buffer_request_body = True
    buffer_response_body = True

    # Defaults for the response 400, whose body passes through this filter too.
    edits_response = False
    operation = ""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        if "content-length" not in headers:
            pwasm.send_http_response(400, body=b"content must be provided")
            return Action.PAUSE
        self.edits_response = headers.get("buffer-replace-at") == "response"
        self.operation = headers.get("buffer-operation", "")
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not self.edits_response:
            pwasm.log_info("original request body: %s", self.request.body.decode(errors="replace"))
            edit = REQUEST_EDITS.get(self.operation, pwasm.replace_http_request_body)
            edit(TEXTS.get(self.operation, REPLACEMENT))
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        if self.edits_response:
            pwasm.log_info("original response body: %s", self.response.body.decode(errors="replace"))
            edit = RESPONSE_EDITS.get(self.operation, pwasm.replace_http_response_body)
            edit(TEXTS.get(self.operation, REPLACEMENT))
        return Action.CONTINUE


class Echo(HttpContext):
    buffer_request_body = True

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        pwasm.send_http_response(200, body=self.request.body)
        return Action.PAUSE


class ByConfiguration(PluginContext):
    def new_http_context(self, context_id: int) -> HttpContext:
        return Echo() if self.configuration == b"echo" else EditBody()


pwasm.set_plugin_context(ByConfiguration)
pwasm.set_http_context(EditBody)
