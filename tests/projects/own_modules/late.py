"""Imported by a function only."""

calls: list[int] = []


def count() -> int:
    """How often it has been called in this VM."""
    calls.append(1)
    return len(calls)
