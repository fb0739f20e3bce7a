"""The public functions on the host, by what they act on."""
