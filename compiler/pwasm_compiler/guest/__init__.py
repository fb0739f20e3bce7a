"""The build-time interpreter: CPython from componentize-py, started and frozen by us.

    base       what componentize-py provides: code, the memory before anything ran, the standard library
    files      the read-only file tree that the guest sees
    wasi       WASI for the build: these files, this environment, a deterministic clock and randomness
    machine    wasmtime: compile (cached), start, import, read back memory and globals

Nothing of the build machine reaches the guest except the files it is given, so the same files give the same bytes.
"""
