"""Values in documents of any form: what an Envoy or a cluster answers, and what no schema checks in a resource.

Fields may be missing, null or of another type than expected. Nothing here raises.
"""

from __future__ import annotations

import re
from typing import Any


def get(value: Any, *keys: str) -> Any:
    """The value at a path of names; one in snake_case may be in the document in camelCase."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        value = value.get(key, value.get(camel))
    return value


def text(value: Any, *keys: str) -> str:
    """The string there, or ""."""
    found = get(value, *keys)
    return found if isinstance(found, str) else ""


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """The mapping there, or an empty one."""
    found = get(value, *keys)
    return found if isinstance(found, dict) else {}


def mappings(value: Any, *keys: str) -> list[dict[str, Any]]:
    """The mappings in the list there."""
    return [item for item in list_of(get(value, *keys)) if isinstance(item, dict)]
