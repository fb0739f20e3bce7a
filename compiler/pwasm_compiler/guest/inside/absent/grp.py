"""Stands in for `grp`: it can be imported, and not used."""

import pwasm_absent  # type: ignore[import-not-found]

_WHY = "there are no groups of users"
globals().update(pwasm_absent.functions("grp", "getgrall getgrgid getgrnam", _WHY))
globals().update(pwasm_absent.types("grp", "struct_group", _WHY))
