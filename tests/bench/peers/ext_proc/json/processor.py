"""The "json" scenario as an external processor; what every peer does stands in scenarios.py."""

import json
import logging
from typing import Any

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ProcessingResponse,
)

NAMES = (
    ":method",
    ":path",
    "content-type",
    "accept",
    "accept-language",
    "authorization",
    "cookie",
    "user-agent",
    "x-tenant",
    "x-trace",
)


class Stream:
    """Reads ten request headers and the order's number in the body, and tells what it has read."""

    read = 0
    order = ""

    def request_headers(self, message: Any) -> ProcessingResponse:
        headers = {header.key: header.raw_value or header.value for header in message.headers.headers}
        for name in NAMES:
            self.read += len(headers[name])
        return ProcessingResponse(request_headers=HeadersResponse())

    def request_body(self, message: Any) -> ProcessingResponse:
        logging.debug("request body")
        self.order = json.loads(message.body)["id"]
        return ProcessingResponse(request_body=BodyResponse())

    def response_headers(self, message: Any) -> ProcessingResponse:
        headers = {"x-wasm-custom": "FOO", "x-wasm-read": str(self.read), "x-wasm-order": self.order}
        options = [
            HeaderValueOption(header=HeaderValue(key=name, raw_value=value.encode())) for name, value in headers.items()
        ]
        change = CommonResponse(header_mutation=HeaderMutation(set_headers=options))
        return ProcessingResponse(response_headers=HeadersResponse(response=change))
