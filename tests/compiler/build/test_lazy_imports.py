"""Imports and codec names that a filter uses only at run time are found in its sources."""

from __future__ import annotations

from pwasm_compiler.build.lazy_imports import find_lazy_imports
from pwasm_compiler.cpython314 import ALWAYS_WANTED


def scan(
    text: str, path: str = "filter.py", own: frozenset[str] = frozenset({"filter.py"})
) -> tuple[dict[str, str], dict[str, str]]:
    found = find_lazy_imports({path: text}, own)
    return {name: place for name, place in found.modules.items() if name not in ALWAYS_WANTED}, found.encodings


def test_an_import_inside_a_function_is_found_with_its_place() -> None:
    assert scan("def f():\n    import decimal\n")[0]["decimal"] == "filter.py:2"


def test_an_import_at_the_top_is_not_a_later_one() -> None:
    assert scan("import colorsys\n")[0] == {}


def test_imports_in_methods_lambdas_and_branches_are_found() -> None:
    text = "class A:\n    async def f(self):\n        if self:\n            from xml.dom import minidom\n"
    assert scan(text)[0] == {"xml.dom": "filter.py:4"}


def test_relative_imports_are_left_to_the_package_that_makes_them() -> None:
    assert scan("def f():\n    from . import x\n    from .y import z\n")[0] == {}


def test_what_the_standard_library_imports_lazily_is_added() -> None:
    assert scan("from datetime import datetime\n")[0] == {"_strptime": ""}
    assert "unicodedata" in scan("from urllib.parse import urlsplit\n")[0]


def test_words_of_a_source_that_make_python_import_something() -> None:
    assert scan("HOST = settings.get('charset', 'idna')\n")[0] == {"encodings.idna": "", "encodings.punycode": ""}
    assert scan("def f(text):\n    return re.compile('\\\\N{EM DASH}' + text)\n")[0] == {"unicodedata": ""}
    assert scan("import typing as t\n@t.runtime_checkable\nclass P: ...\n")[0] == {"annotationlib": "", "inspect": ""}


def test_a_traceback_through_a_line_that_is_not_ascii_needs_the_width_of_characters() -> None:
    assert scan("x = 'größe'\n")[0] == {"unicodedata": ""}
    assert scan("x = 'größe'\n", path="dep/x.py")[0] == {}


def test_a_dependency_is_scanned_without_naming_places() -> None:
    assert scan("def f():\n    import simplejson\n", path="dep/x.py")[0] == {"simplejson": ""}


def test_codecs_named_in_the_source_are_found() -> None:
    text = "a = b.decode('cp1252')\nc = str(b, 'koi8-r')\nd = bytes(c, encoding='utf-16')\n'x'.encode()\n"
    assert scan(text)[1] == {"cp1252": "filter.py:1", "koi8-r": "filter.py:2", "utf-16": "filter.py:3"}


def test_a_file_that_does_not_parse_is_left_to_the_guest() -> None:
    assert scan("def f(:\n")[0] == {}
