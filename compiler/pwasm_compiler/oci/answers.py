"""What a registry says in its headers and bodies. Each function has a result, whatever the server sent."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import Any

_LONGEST_DATE = 64
_LONGEST_TOKEN = 64 << 10
"""Larger than any header that servers accept by default."""
_DELAY = re.compile(r"[0-9]{1,9}", re.ASCII)
_TOKEN = re.compile(r"[!-~]+", re.ASCII)
"""RFC 6750 section 2.1 allows fewer characters; these are all that an Authorization header can hold unchanged."""


def retry_after(text: str) -> float | None:
    """Seconds to wait, from a number or a date (RFC 9110 section 10.2.3); None if it is neither."""
    text = text.strip()
    if _DELAY.fullmatch(text):
        return float(text)
    if not text or len(text) > _LONGEST_DATE:
        return None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, IndexError):  # which one depends on the date and on the Python
        return None


def error_message(body: bytes) -> str:
    """The message of an error in the distribution specification's format: `{"errors": [{"code", "message"}]}`."""
    found = _json(body)
    entries = found.get("errors") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return ""
    told = [f"{_text(entry, 'code')} {_text(entry, 'message')}".strip() for entry in entries[:3]]
    return "; ".join(filter(None, told))


def token_in(body: bytes) -> str | None:
    """The token in a token server's answer, if it can be sent in a header."""
    found = _json(body)
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN or not _TOKEN.fullmatch(token):
        return None
    return token


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(entry: Any, key: str) -> str:
    value = entry.get(key, "") if isinstance(entry, dict) else ""
    return value if isinstance(value, str) else ""
