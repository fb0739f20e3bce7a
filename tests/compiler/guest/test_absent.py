"""Which imports of modules that Python does not have here get a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

import pwasm_compiler.guest
from pwasm_compiler.cpython314 import ABSENT
from pwasm_compiler.guest.absent import AbsentImports, Source, find_absent_imports
from tests.support.facts import facts_of


def source(text: str) -> Source:
    return Source(text.encode, lambda: facts_of(text))


def found(text: str, own: tuple[str, ...] = ()) -> AbsentImports:
    imports = find_absent_imports({"lib.py": source(text)}, own)
    assert imports is not None
    return imports


HANDLED = {
    "except ImportError": "try:\n    import ssl\nexcept ImportError:\n    ssl = None",
    "one of several": "try:\n    import ssl\nexcept (ModuleNotFoundError, ValueError):\n    ssl = None",
    "a bare except": "try:\n    from ssl import SSLError\nexcept:\n    pass",
    "in a condition": "try:\n    if x:\n        import ssl\nexcept Exception:\n    pass",
    "suppressed": "with contextlib.suppress(ImportError):\n    import ssl",
}


@pytest.mark.parametrize("text", HANDLED.values(), ids=HANDLED)
def test_who_handles_the_error_gets_it(text: str) -> None:
    imports = found(text)
    assert (len(imports.handled), imports.wanted, imports.late) == (1, [], [])


WANTED = {
    "at the top": "import ssl",
    "a name of it": "from ssl import SSLContext",
    "beside others": "import json, ssl",
    "in a class": "class A:\n    import ssl",
    "other errors are handled": "try:\n    import ssl\nexcept ValueError:\n    pass",
    "in the handler": "try:\n    import json\nexcept ImportError:\n    import ssl",
    "after the try": "try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    import ssl",
}


@pytest.mark.parametrize("text", WANTED.values(), ids=WANTED)
def test_who_does_not_gets_a_stand_in(text: str) -> None:
    assert (found(text).handled, found(text).wanted) == ([], ["ssl"])


def test_a_function_imports_late() -> None:
    imports = found("try:\n    def connect():\n        import ssl\nexcept ImportError:\n    pass")
    assert (imports.handled, imports.wanted, imports.late) == ([], [], ["ssl"])


def test_what_only_type_checkers_read_does_not_count() -> None:
    assert found("if typing.TYPE_CHECKING:\n    import ssl").wanted == []


def test_the_filters_own_imports_get_no_stand_in() -> None:
    imports = found("import ssl", ("lib.py",))
    assert (imports.handled, imports.wanted) == ([], [])


def test_a_module_of_the_filter_wins() -> None:
    assert found("import ssl", ("ssl.py", "lib.py")).modules["ssl"] == ""
    assert found("import ssl", ("ssl/__init__.py",)).modules["mmap"] == "mmap"


@pytest.mark.parametrize("text", ["", "import json", "ssl = 3", "from mine.ssl_tools import x"])
def test_nothing_is_told_about_filters_that_import_none(text: str) -> None:
    assert find_absent_imports({"lib.py": source(text)}, ()) is None


def test_every_module_in_c_has_a_stand_in() -> None:
    folder = Path(str(pwasm_compiler.guest.__file__)).parent / "inside" / "absent"
    assert {file.stem for file in folder.glob("*.py")} == {"__init__", *(missing for missing, _ in ABSENT.values())}
