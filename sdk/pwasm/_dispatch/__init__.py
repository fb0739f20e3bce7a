"""From the host's callbacks to the filter's methods."""
