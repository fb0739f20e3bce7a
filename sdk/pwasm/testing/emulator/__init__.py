"""A host in this process, with Envoy's streams, header maps, buffers and rules."""
