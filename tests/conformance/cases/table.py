"""All cases."""

from __future__ import annotations

from . import availability, bodies, callouts, headers, replies, resumes, sdk, state, tcp, traffic

CASES = [
    *availability.CASES,
    *headers.CASES,
    *bodies.CASES,
    *resumes.CASES,
    *replies.CASES,
    *callouts.CASES,
    *state.CASES,
    *tcp.CASES,
    *sdk.CASES,
    *traffic.CASES,
]
