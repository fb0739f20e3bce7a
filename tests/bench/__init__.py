"""The benchmark: the same filter implemented in several ways, in the same Envoy, in one run. Start it with run.py."""
