"""Linking: resolve + lay out + merge. Turns the instance graph of a component into one core module.

    resolve   what each function, global, table and memory stands for, with ours in the place of WASI
    layout    constants, the contents of the table, where data lies
    passes    Module → Module steps that may be added or left out
    merge     renumber the bodies and write one module

Pure functions on frozen dataclasses. This is *not* a real linker: it reads the one shape that componentize-py
emits (one memory, one live table, each library instantiated once, data resolved, no start functions).
"""
