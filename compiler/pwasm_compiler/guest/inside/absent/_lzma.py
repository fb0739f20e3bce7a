"""Stands in for `_lzma`: it can be imported, and not used."""

import pwasm_absent  # type: ignore[import-not-found]

_WHY = "this Python is built without it"
_CONSTANTS = """
CHECK_CRC32=1 CHECK_CRC64=4 CHECK_ID_MAX=15 CHECK_NONE=0 CHECK_SHA256=10 CHECK_UNKNOWN=16 FILTER_ARM=7
FILTER_ARMTHUMB=8 FILTER_DELTA=3 FILTER_IA64=6 FILTER_LZMA1=4611686018427387905 FILTER_LZMA2=33 FILTER_POWERPC=5
FILTER_SPARC=9 FILTER_X86=4 FORMAT_ALONE=2 FORMAT_AUTO=0 FORMAT_RAW=3 FORMAT_XZ=1 MF_BT2=18 MF_BT3=19 MF_BT4=20
MF_HC3=3 MF_HC4=4 MODE_FAST=1 MODE_NORMAL=2 PRESET_DEFAULT=6 PRESET_EXTREME=2147483648
"""
globals().update((name, int(value)) for name, _, value in (pair.partition("=") for pair in _CONSTANTS.split()))
globals().update(
    pwasm_absent.functions("lzma", "is_check_supported _encode_filter_properties _decode_filter_properties", _WHY)
)
globals().update(pwasm_absent.types("lzma", "LZMACompressor LZMADecompressor", _WHY))


class LZMAError(Exception):
    """Never raised, but caught."""
