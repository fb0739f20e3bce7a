"""The subset of the component binary format that componentize-py emits (component-model, design/mvp/Binary.md).

    definitions ← decode ← graph

Out of scope: component-level types, instances and functions are skipped, because the linker never calls through them:
what matters is which core module is wired to which. Anything else is an `UnsupportedError` with its offset.
"""
