"""Typed configuration: decoding a plugin's configuration into the type that its class annotates."""
