"""pwasm_compiler: from a Python filter to one core Wasm module, and the `pwasm` command."""
