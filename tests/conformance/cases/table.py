"""All cases."""

from __future__ import annotations

from . import availability, bodies, headers

CASES = [*availability.CASES, *headers.CASES, *bodies.CASES]
