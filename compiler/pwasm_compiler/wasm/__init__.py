"""The core Wasm binary format, one file per concern, in the spec's words.

    leb128 ← reader ← module ← decode, encode;  instructions walks function bodies ← limits of engines

Out of scope: text format, validation (the gate in `pwasm_compiler.build.verify` and the engines do that), SIMD,
exceptions, GC, more than one memory. Anything outside the subset is an `UnsupportedError` with its offset.
"""
