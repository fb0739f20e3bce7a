"""Envoy as a process and as a configuration: found, started, watched, asked, and told what to run."""
