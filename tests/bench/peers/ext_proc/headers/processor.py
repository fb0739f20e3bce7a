"""The "headers" scenario as an external processor; what every peer does stands in scenarios.py."""

import logging
from typing import Any

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ProcessingResponse,
)


class Stream:
    """Logs one message that the logger filters out, and adds one response header."""

    def request_headers(self, message: Any) -> ProcessingResponse:
        logging.debug("request headers")
        return ProcessingResponse(request_headers=HeadersResponse())

    def response_headers(self, message: Any) -> ProcessingResponse:
        header = HeaderValueOption(header=HeaderValue(key="x-wasm-custom", raw_value=b"FOO"))
        change = CommonResponse(header_mutation=HeaderMutation(set_headers=[header]))
        return ProcessingResponse(response_headers=HeadersResponse(response=change))
