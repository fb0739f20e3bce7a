"""Scripts that ended Envoy before there was a guard: K9 to K13 of docs/abi.md §0.1, and what was found since."""

from __future__ import annotations

from typing import Any

from .operations_script import Op, Script

_QUIET: dict[str, Any] = {"pieces": [5], "gaps": [0] * 4, "framing": "length", "leaves": None}


def _script(
    listener: str = "alone|drain|http",
    *,
    client: dict[str, Any] | None = None,
    upstream: dict[str, Any] | None = None,
    **do: list[Any],
) -> Script:
    return {
        "seed": None,
        "listener": listener,
        "do": do,
        "client": _QUIET | (client or {}),
        "upstream": _QUIET | {"status": 200} | (upstream or {}),
    }


def _held(*operations: Op) -> Script:
    """A response that is held to its end, and then a tick."""
    return _script(response_body=[[["pause"]]] * 3, later=[[20, list(operations)]])


_ANSWER: Op = ["send_http_response", {"status_code": 403}]
_CLOSE: Op = ["close_http_response", {}]
_RESUME: Op = ["resume_http_response", {}]
_LOCAL: Op = ["send_http_response", {"status_code": 200, "body": "local"}]
_BODY: tuple[Op, ...] = (["append_http_request_body", {"data": "x"}], ["get_http_request_body", {}])
_CHUNKED: dict[str, Any] = {"framing": "chunked"}

CORPUS: tuple[Script, ...] = (
    _held(_RESUME, _ANSWER),
    _held(_RESUME, _CLOSE),
    _held(_ANSWER, _RESUME),
    _held(_CLOSE, _CLOSE),
    _held(_RESUME, ["fail"]),
    *(
        _script(request_headers=[[[name, {"upstream": cluster, "service": "a.B", "method": "C"}]]])
        for name in ("dispatch_grpc_call", "open_grpc_stream")
        for cluster in ("users", "h1", {"$": "bytes", "of": "inventory"})
    ),
    # The other stream is not left when the `with` ends, and it is another context of the stream that is over.
    _script("twice|headers|edits", done=[[["with", 1, []], _CLOSE]]),
    # The request goes on inside of upstream's codec, when the response has come early (found by seed 20005928).
    _script(
        "lua-before|drain|buffers",
        request_body=[[["pause"]]],
        response_headers=[[["resume_http_request", {}]]],
        client={"pieces": [1]},
        upstream={"pieces": [5000], "status": 204},
    ),
    # A coroutine lets the response go in the tick that closes it (found by seed 1849).
    _script(
        "alone|headers|buffers",
        response_headers=[[["sleep", 0]]],
        later=[[0, [_CLOSE]], [3, [_CLOSE]]],
        client={"pieces": []},
        upstream={"pieces": []},
    ),
    # The trailers go on when another context of the stream has closed it (found by seed 2215049978, in Envoy 1.36).
    _script(
        "twice|headers|edits",
        response_trailers=[[["with", 2, [["close_http_request", {}]]]], [], []],
        client={"pieces": []},
        upstream={"pieces": [5, 5, 5], "framing": "trailers"},
    ),
    _script(request_headers=[[["foreign.uncompress", {"data": {"$": "bomb"}}]]]),
    _script(request_headers=[[["call_foreign_function", {"name": "uncompress", "param": {"$": "bomb"}}]]]),
)

RARE: tuple[tuple[Script, ...], ...] = (
    # Whether these end Envoy depends on the allocator, or on who comes next: others of the kind must be there.
    # A request's body, when the callback of its last piece has answered (K10).
    *((_script(request_body=[[], [_LOCAL]], response_headers=[[["sleep", 30], op]], client=_CHUNKED),) for op in _BODY),
    # The data of a connection, when the callback of its second piece has closed it (K11).
    (
        _script(
            "tcp",
            upstream_data=[[], [["fail"]]],
            done=[[["get_upstream_data", {"start": 0, "max_size": 100}]]],
            client=_CHUNKED | {"pieces": []},
            upstream=_CHUNKED | {"pieces": [100]},
        ),
    ),
    # What the SDK does when a callback has returned goes to the stream that the filter has selected (K15).
    (
        _script(request_body=[[], [_LOCAL]], response_headers=[[["sleep", 30]]], client=_CHUNKED),
        _script(
            request_body=[[["pause"], ["set_effective_context", {"context_id": {"$": "context", "of": 1}}]]] * 3,
            client=_CHUNKED | {"pieces": [5, 5000], "gaps": [2] * 4},
        ),
    ),
    # A response that has come early is given trailers, by a removal, and goes on inside of the client's codec (K14).
    (
        _script(
            "alone|drain|buffers",
            request_body=[
                [["remove_http_response_trailer", {"name": "transfer-encoding"}], ["resume_http_response", {}]],
                [],
                [],
            ],
            client={"pieces": [5, 5000, 5000], "framing": "chunked"},
            upstream={"pieces": [1], "framing": "trailers"},
        ),
    ),
    # Another stream's path is replaced while there is no connection yet, so it has no route (K17; seed 5720165878).
    (
        _script("alone|headers|buffers", client={"pieces": [1]}, upstream={"pieces": [5], "begins": 60}),
        _script(
            "alone|headers|http",
            response_body=[[["with", 0, [["replace_http_request_header", {"name": ":path", "value": "1"}]]]]],
            client={"pieces": []},
            upstream={"pieces": [5, 5000], "framing": "chunked"},
        ),
    ),
    # An answer for another stream stops the one whose callback is running (found by seed 2415127246).
    (
        _script(
            "alone|headers|edits",
            response_body=[[["with", 7, [["send_http_response", {"status_code": 500}]]], ["sleep", 0]]],
            client={"pieces": []},
            upstream={"pieces": [5, 5000], "status": 204},
        ),
    ),
)
