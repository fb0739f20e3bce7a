"""The build's own interpreter: CPython from componentize-py, started and frozen by us.

    base       what componentize-py hands out: code, the memory before anything ran, the standard library
    files      the read-only tree of files that the guest sees
    wasi       WASI for the build: these files, this environment, a clock and randomness that are the same each time
    machine    wasmtime: compile (cached), start, import, read back memory and globals

Nothing of the machine that builds reaches the guest but the files it is given, so the same files give the same bytes.
"""
