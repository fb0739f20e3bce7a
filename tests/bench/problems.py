"""Reasons for missing figures.

BenchError             something ran and failed: the benchmark ends with exit code 1
└── NotMeasuredError   a tool is missing: the table names it, and the other figures are kept
"""

from __future__ import annotations


class BenchError(Exception):
    """Something failed to run."""

    def __str__(self) -> str:
        return f"failed: {super().__str__()}"


class NotMeasuredError(BenchError):
    """Something that is not on this machine cannot be measured; the text names it."""

    def __str__(self) -> str:
        return f"not measured: {Exception.__str__(self)}"
