"""The public functions that call the host, one module per topic."""
