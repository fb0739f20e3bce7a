"""json_validation: lets JSON objects with all required keys through, and responds with 403 to everything else.

The configuration is a JSON object: {"requiredKeys": ["id", "token"]}.
"""

import json

import pwasm
from pwasm import Action, HttpContext, PluginContext


class Settings(PluginContext):
    required: frozenset[str]

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        try:
            match json.loads(self.configuration):
                case {"requiredKeys": [*keys]}:
                    self.required = frozenset(keys)
                case _:
                    raise TypeError("requiredKeys is not a list")
        except (ValueError, TypeError, KeyError) as error:
            pwasm.log_critical('the configuration is not {"requiredKeys": […]}: %r', error)
            return False
        return True


class Validation(HttpContext):
    plugin: Settings
    buffer_request_body = True
    edits_request_body = False  # keep `content-length`

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        content_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            return forbidden("content-type must be application/json")
        if end_of_stream:
            return forbidden("invalid payload")
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        try:
            document = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            pwasm.log_info("body is not JSON: %s", error)
            return forbidden("invalid payload")
        missing = self.plugin.required - document.keys() if isinstance(document, dict) else self.plugin.required
        if missing:
            pwasm.log_info("required keys are missing: %s", ", ".join(sorted(missing)))
            return forbidden("invalid payload")
        return Action.CONTINUE


def forbidden(why: str) -> Action:
    pwasm.send_http_response(403, body=why)
    return Action.PAUSE


pwasm.set_plugin_context(Settings)
pwasm.set_http_context(Validation)
