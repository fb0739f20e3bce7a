"""The rules that the emulator enforces because Envoy does, each with a name.

`RULES` are statements that hold; the emulator looks each of them up where it matters. They are in a table so that a
test can negate them one by one and check that the conformance suite notices (`tests/conformance/test_mutations.py`): a
rule that nothing checks might as well be wrong. `STATUSES` are the statuses that the host returns when it refuses.

Sources: docs/abi.md (sections, and the cases of §5), measured with Envoy 1.40 by `tests/conformance`.
"""

from __future__ import annotations

from typing import Final

from pwasm._abi import Action, Status

RULES: Final[dict[str, bool]] = {
    # --- which map is there (§1.5) ---
    "request headers are there in their callback": True,
    "request headers are gone when the callback has continued": True,
    "request headers stay while the request is held": True,
    "request maps are gone after continue_stream": True,
    "request trailers are there in their callback": True,
    "request trailers stay while the request is held": True,
    "response headers are there in their callback": True,
    "response headers are gone when the callback has continued": True,
    "response headers stay while the response is held": True,
    "response trailers are there in their callback": True,
    "trailers can be created when the body has ended": True,
    "trailers can be created only when the body has ended": True,
    "trailers can be created only when there was a body callback": True,
    "asking for the size of trailers creates them": True,
    "on_log can read the request headers": True,
    "on_log can read the response headers": True,
    "on_log can read the response trailers": True,
    "on_log cannot read the request trailers": True,
    "on_log cannot write": True,
    "after on_log there are no maps": True,
    "the maps of an answer are read-only": True,
    "the maps of an answer are there whatever stream is selected": True,
    "in on_log a missing map is not found": True,
    "a map that is not there has no pairs": True,
    # --- header maps (§1.5; §5, cases 23 to 40) ---
    "names are stored in lower case": True,
    "names are found in any case": True,
    "adding to an inline header joins": True,
    "adding to any other header adds a line": True,
    "replacing leaves one value": True,
    "a header that is replaced moves to the end": True,
    "removing removes every value": True,
    "pseudo headers come first": True,
    "the host of a request is its :authority": True,
    "malformed pairs are an empty list": True,
    "a map's size is in bytes": True,
    # --- what Envoy demands of a message (§5, cases 30 to 35) ---
    "a request without x-forwarded-proto is not routed": True,
    "a request without a path is not routed": True,
    "a request needs a method": True,
    "request header names are checked": True,
    "request header values are checked": True,
    "a response needs a status": True,
    "a request with too many headers is refused before the plugin": True,
    "a request with too large headers is refused before the plugin": True,
    "a fragment in a path is refused before the plugin": True,
    "a path begins with a slash": True,
    "a path is ASCII": True,
    "a path without a slash is not routed": True,
    # --- what peers make of a message (§0.5, §6) ---
    "upstream goes by the headers of a request": True,
    # --- buffers (§1.2, §1.5; §5, cases 10, 11, 41 to 54) ---
    "the VM's configuration can always be read": True,
    "the plugin's configuration can be read only in on_configure": True,
    "the body of a callback can be written": True,
    "the body is empty while the headers are held": True,
    "the body stays while it is held": True,
    "a body cannot be changed in the middle": True,
    "the body of an answer is read-only": True,
    "reading is cut to what there is": True,
    # --- actions (§1.3, §5, cases 39 to 63) ---
    "PAUSE in headers holds the body too": True,
    "with allow_on_headers_stop_iteration the body still comes": True,
    "a held body comes in one piece": True,
    "PAUSE in a body callback accumulates": True,
    "a body that streams ends with an empty callback": True,
    "with trailers no body callback is the last": True,
    "trailers that were created are not announced": True,
    "PAUSE in trailers holds the stream": True,
    "a request that is buffered beyond the limit is refused": True,
    "a response that is buffered beyond the limit is cut": True,
    "the limit does not count for headers held": True,
    "the limit does not count for what streams": True,
    "a resume before the pause is lost": True,
    "a resume of what is not held sends it twice": True,
    # --- several filters (§6) ---
    "who continues passes on the end, too": True,
    "no data comes after the end, whoever passed that on": True,
    "trailers that another filter released are sent twice": True,
    "what is held already does not count again": True,
    # --- closing and local responses (§1.2, §1.16; §5, cases 64 to 77) ---
    "a closed stream has no response": True,
    "close wins over a local response": True,
    "the first local response wins": True,
    "a local response passes the response callbacks": True,
    "a local response to a held response replaces it unseen": True,
    "a local response after the headers went out cuts the response": True,
    "a local response has its own content-length": True,
    "a local response cannot set the status by a header": True,
    "a local response with a body is text unless it says otherwise": True,
    "a local response to HEAD has no body": True,
    "a local response to gRPC is trailers only": True,
    "spaces in details become underscores": True,
    # --- TCP (§5, cases 114 to 117) ---
    "a held connection is not read": True,
    "PAUSE in data holds it": True,
    "held data comes again with what follows": True,
    "a TCP stream is done before it is logged": True,
    "a plugin that closes hears nothing of upstream": True,
    "a TCP resume before the pause counts": True,
    "data that is held can be read": True,
    # --- properties (§1.11; §5, cases 99 to 101) ---
    "properties of the request need its headers": True,
    "properties of the response need a response": True,
    "some properties come at the end": True,
    "what is no value cannot be read": True,
    # --- what kills Envoy (§0.1) ---
    "K1": True,
    "K2": True,
    "K3": True,
    "K4": True,
    "K5": True,
    "K6": True,
    "K7": True,
    "K8": True,
    "K9": True,
    "K10": True,
    "K11": True,
    "K12": True,
    "K13": True,
}
"""Rule → whether it holds. Only the mutation tests may change this."""

OK, NOT_FOUND, BAD_ARGUMENT = Status.OK, Status.NOT_FOUND, Status.BAD_ARGUMENT

STATUSES: Final[dict[str, int]] = {
    name: int(status)
    for name, status in {
        "unknown log level": BAD_ARGUMENT,
        "unknown map": BAD_ARGUMENT,
        "map not there": BAD_ARGUMENT,
        "header missing": NOT_FOUND,
        "unknown buffer": BAD_ARGUMENT,
        "buffer read-only": BAD_ARGUMENT,
        "buffer of another callback": NOT_FOUND,
        "unknown stream type": BAD_ARGUMENT,
        "continue upstream": Status.UNIMPLEMENTED,
        "unknown context": BAD_ARGUMENT,
        "done without need": NOT_FOUND,
        "property missing": NOT_FOUND,
        "no value": Status.SERIALIZATION_FAILURE,
    }.items()
}
"""Situation → the status that the host returns."""

CONTINUE, HOLD, HOLD_ALL, DISCARD, STREAM_HELD = range(5)

HEADER_ACTIONS: Final[dict[int, int]] = {0: CONTINUE, 1: HOLD_ALL, 2: CONTINUE, 3: HOLD_ALL, 4: HOLD_ALL}
"""Result of a headers callback → Envoy's reaction; any other result holds everything (§1.3)."""
DATA_ACTIONS: Final[dict[int, int]] = {0: CONTINUE, 1: HOLD, 2: STREAM_HELD}
"""The same for data; any other result discards it (§0.3)."""

PAUSE = int(Action.PAUSE)


def holds(rule: str) -> bool:
    """Whether a rule holds."""
    return RULES[rule]


def status_of(situation: str) -> int:
    """The status that the host returns."""
    return STATUSES[situation]
