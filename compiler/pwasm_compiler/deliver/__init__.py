"""From main.wasm to where it runs: images, registries, Kubernetes resources, Envoy configuration."""
