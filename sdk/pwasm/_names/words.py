"""The names that have a meaning for the SDK, and names that resemble them."""

from __future__ import annotations

from types import FunctionType

from .._typing import Any
from ..types import HttpContext, PluginContext, TcpContext, VMContext

BASES = (HttpContext, TcpContext, PluginContext, VMContext)
SETTINGS = (
    "on_error",
    "buffer_request_body",
    "buffer_response_body",
    "edits_request_body",
    "edits_response_body",
    "max_body_bytes",
    "holds_request_headers",
    "holds_response_headers",
    "upgrades",
    "max_held_bytes",
    "snapshot_request_headers",
    "sdk_metrics",
    "passes_trace_context",
    "own_names",
)
READ_FROM_THE_CLASS = SETTINGS[1:-1]
"""Settings that cannot differ between instances."""
FIELDS = ("config", "plugin", "vm")
"""Attributes that the SDK sets, and that a class may annotate."""
# Words of other SDKs and of the ABI, and their equivalents here.
SYNONYMS = {
    "closed": "close",
    "complete": "done",
    "configure": "start",
    "connect": "connection",
    "create": "new",
    "delete": "done",
    "hdr": "header",
    "log": "done",
    "req": "request",
    "res": "response",
    "resp": "response",
    "rq": "request",
    "rsp": "response",
    "shutdown": "done",
    "started": "start",
    "timer": "tick",
}
# Names of settings used elsewhere, and their equivalents here.
OTHER_SETTINGS = {
    "buffer_body": "buffer_request_body",
    "buffer_request": "buffer_request_body",
    "buffer_response": "buffer_response_body",
    **dict.fromkeys(("max_body", "max_body_size", "max_bytes"), "max_body_bytes"),
    **dict.fromkeys(("on_err", "on_fail", "on_failure"), "on_error"),
    "hold_headers": "holds_request_headers",
    "snapshot_headers": "snapshot_request_headers",
}
PREFIXES = ("proxy", "envoy")
TYPES = {"end_of_stream": "bool", "peer_type": "PeerType"}
"""The types of parameters that are not int; annotations of the SDK's functions are not available in the guest."""

_WRONG_LETTERS_IN, _MOST_WRONG_LETTERS = 5, 3
_LONG_WORD = 6
"""The minimum length of a word that is still recognized with one wrong letter."""


def callbacks_of(cls: type) -> set[str]:
    """The callbacks that a class of the SDK defines."""
    return {name for name, value in vars(cls).items() if not name.startswith("_") and isinstance(value, FunctionType)}


def _words(name: str) -> list[str]:
    """`proxy_on_request_headers`, `onRequestHeaders` and `OnRequestHeaders` are on, request, headers."""
    snake = "".join(
        f"_{letter}" if letter.isupper() and not name[at - 1 : at].isupper() else letter
        for at, letter in enumerate(name)
    )
    words = [word for word in snake.lower().split("_") if word] or [name]
    return words[1:] if words[0] in PREFIXES and len(words) > 1 else words


def _meaning(word: str) -> str:
    """A canonical form of a word that is the same for all its spellings."""
    stem = word.removesuffix("s")
    return SYNONYMS.get(stem, SYNONYMS.get(word, stem)).removesuffix("s")


def distance(one: str, other: str) -> int:
    """The number of letters to insert, delete, transpose or change (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


_NAMES = sorted({name for base in BASES for name in callbacks_of(base)} | set(SETTINGS))
_LETTERS = {"".join(_words(name)): name for name in _NAMES}
_VOCABULARY = {_meaning(word) for name in _NAMES if name not in SETTINGS for word in _words(name)}


def is_near(name: str) -> bool:
    """Whether a name is one of the SDK's except for some letters, capitals and underscores."""
    letters = "".join(_words(name))
    return any(
        abs(len(letters) - len(known)) <= _MOST_WRONG_LETTERS
        and distance(letters, known) <= min(len(known) // _WRONG_LETTERS_IN, _MOST_WRONG_LETTERS)
        for known in _LETTERS
    )


def sounds_like_a_callback(name: str) -> bool:
    """Whether a name begins like a callback, and contains only words used in callback names."""
    first, *rest = _words(name)
    return first in {"on", "new"} and bool(rest) and all(map(_is_known, rest))


def _is_known(word: str) -> bool:
    meant = _meaning(word)
    return meant in _VOCABULARY or (
        len(word) >= _LONG_WORD
        and any(len(known) >= _LONG_WORD and distance(meant, known) <= 1 for known in _VOCABULARY)
    )


def meant_by(name: str, among: Any) -> str:
    """The most similar of these names, by words and then by letters; "" if they have nothing in common."""
    words = {_meaning(word) for word in _words(name)} - {"on", "new"}

    def unlike(known: str) -> tuple[int, int, int]:
        common = words & {_meaning(word) for word in _words(known)}
        return -len(common), distance("".join(_words(name)), "".join(_words(known))), distance(name, known)

    best = min(among, key=unlike)
    return best if unlike(best)[0] or distance("".join(_words(name)), "".join(_words(best))) <= 2 else ""


def says_all_of(known: str, name: str) -> bool:
    """Whether each word of `name` is in `known`, in whatever spelling."""
    return {_meaning(word) for word in _words(name)} <= {_meaning(word) for word in _words(known)}
