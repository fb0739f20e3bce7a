"""Helpers shared by several folders of tests; each module states its purpose."""
