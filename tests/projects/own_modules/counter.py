"""Imported by the filter, and again by its functions."""

seen = 0
