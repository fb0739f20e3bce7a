"""Stands in for `_bz2`: it can be imported, and not used."""

import pwasm_absent  # type: ignore[import-not-found]

_WHY = "this Python is built without it"
globals().update(pwasm_absent.types("bz2", "BZ2Compressor BZ2Decompressor", _WHY))
