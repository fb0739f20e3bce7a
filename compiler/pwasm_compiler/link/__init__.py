"""Linking: resolve + lay out + merge. Turns the instance graph of a component into one core module.

    resolve     InstanceGraph → LinkPlan: what each import resolves to, with ours in place of WASI
    layout      LinkPlan → Layout: constants, the contents of the table, the placement of data
    memory      reads a layout's data
    snapshot    the memory of a run as the data of a layout; heap finds which of it is free
    passes      Layout → Reachable, frames: which functions and data stay, and how they are wrapped
    merge       Layout, Reachable → Code → the bytes of one module: renumbers the bodies; dead_data drops unread data,
                segments bounds the number of its pieces

Pure functions on frozen dataclasses. This is *not* a real linker: it reads the one shape that componentize-py
emits (one memory, one live table, each library instantiated once, data resolved, no start functions).
"""
