"""The benchmark: the same filter made in several ways, in the same Envoy, in one run. Start it with run.py."""
