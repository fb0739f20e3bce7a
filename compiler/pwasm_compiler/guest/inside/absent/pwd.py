"""Stands in for `pwd`: it can be imported, and not used."""

import pwasm_absent  # type: ignore[import-not-found]

_WHY = "there are no users"
globals().update(pwasm_absent.functions("pwd", "getpwall getpwnam getpwuid", _WHY))
globals().update(pwasm_absent.types("pwd", "struct_passwd", _WHY))
