"""One table of cases for three hosts: the emulator with the Python classes, with main.wasm, and a real Envoy."""
