"""A host in this process: streams, header maps, buffers and rules as Envoy has them."""
