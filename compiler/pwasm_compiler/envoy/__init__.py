"""Envoy as a process and as a configuration: find, start, watch, query and configure it."""
