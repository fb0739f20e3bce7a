"""Tests as data: the YAML suites of Google's Service Extensions plugin tester."""
