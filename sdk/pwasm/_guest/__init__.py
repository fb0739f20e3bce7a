"""Code that runs only inside Wasm, in a VM or while a module is built."""
