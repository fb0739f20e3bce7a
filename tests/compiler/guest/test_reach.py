"""What a program can import when it runs follows from the facts of what it has imported."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from pwasm_compiler.guest.files import FileTree
from pwasm_compiler.guest.reach import LateImport, Reach
from tests.support.facts import facts_of

Found = dict[str, tuple[str, ...]]


def reach(sources: dict[str, str], own: Collection[str] = ()) -> Reach:
    files = FileTree()
    for path, text in sources.items():
        files.add(path, text.encode)
    return Reach(files, lambda path: facts_of(sources[path]), own)


def follow(sources: dict[str, str], failed: str = "") -> tuple[Found, list[str]]:
    """What is imported and decoded later."""
    modules = frozenset(path.split("/", 2)[2].removesuffix(".py").replace("/", ".") for path in sources) - {failed}
    imports, codecs = reach(sources).follow(sources, modules)
    return {one.module: one.names for one in imports}, [one.name for one in codecs]


Library = Callable[[str], tuple[Found, list[str]]]


@pytest.fixture
def library() -> Library:
    """A program beside parts of a standard library."""
    library = {
        "dom": "def parse(x):\n    from . import expat\n    return expat.build(x)\ndef other():\n    import rare\n",
        "zip": "class Zip:\n    def __init__(self):\n        self.read()\n"
        "    def read(self):\n        return b.decode('cp437')\n",
        "far": "def parse():\n    import never\n",
        "shell": "def main():\n    import argparse\ndef _test():\n    import doctest\n"
        "def use():\n    import pdb, fine\n",
    }
    sources = {f"/python/{name}.py": text for name, text in library.items()}
    return lambda text: follow({**sources, "/0/filter.py": text})


def test_a_function_of_the_library_counts_when_it_is_mentioned(library: Library) -> None:
    assert library("import dom\ndef f(x):\n    return dom.parse(x)\n") == ({"": ("expat",)}, [])
    assert library("import dom\ndef f(x):\n    return dom.other()\n") == ({"rare": ()}, [])
    assert library("import dom\n") == ({}, [])


def test_a_function_counts_only_where_the_program_imports_it(library: Library) -> None:
    assert library("import zip\ndef f(x):\n    return x.parse()\n") == ({}, [])


def test_what_counts_mentions_others(library: Library) -> None:
    assert library("import zip\ndef f(x):\n    return zip.Zip()\n") == ({}, ["cp437"])


def test_what_is_run_from_a_shell_does_not_count(library: Library) -> None:
    assert library("import shell\ndef f(x):\n    return shell.main(), shell._test(), shell.use()\n") == (
        {"fine": ()},
        [],
    )


def test_every_function_of_the_program_counts() -> None:
    sources = {
        "/0/filter.py": "import app\ndef never():\n    import decimal\n    from xml import dom\n",
        "/0/app/__init__.py": "def f():\n    from . import one\n    from .two import three\n",
        "/0/app/deep/er.py": "def f():\n    from .. import one\n    from ..two import four\n",
        "/0/pwasm/sdk.py": "def f():\n    import hidden\n",
    }
    found, _ = follow(sources)
    assert found == {
        "decimal": (),
        "numbers": (),
        "xml": ("dom",),
        "app": ("one",),
        "app.two": ("four",),
    }


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("import_module('app.a')", ["app.a"]),
        ("import_module('.a', __package__)", ["app.a"]),
        ("pkgutil.resolve_name('app.a:f')", ["app.a"]),
    ],
)
def test_an_import_by_a_literal(call: str, found: list[str]) -> None:
    assert _computed(call) == (found, {})


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("import_module('app.' + name)", ["app.a", "app.b"]),
        ("import_module(f'{__name__}.{name}')", ["app.a", "app.b"]),
        ("import_module(FULL[name])", ["app.a", "app.b"]),
        ("import_module(FULL[name], __package__)", ["app.a", "app.b"]),
        ("import_module(__name__ + FULL[name])", ["app.a"]),
        ("import_module('app.%s' % name)", ["app.a", "app.b"]),
        ("__import__('%s' % name, globals(), locals(), ['X'], 1)", ["app.a", "app.b"]),
        ("import_module(f'nowhere.{name}')", []),
        ("[*map(import_module, FULL)]", ["app.a", "app.b"]),
        ("partial(importlib.import_module, name)", ["app.a", "app.b"]),
        ("pkgutil.resolve_name(name)", ["app.a", "app.b"]),
    ],
)
def test_a_computed_import_means_what_the_source_names_and_that_is_said(call: str, found: list[str]) -> None:
    assert _computed(call) == (found, {"app/__init__.py:4": found})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("app.{name}", ["app.a", "app.in.b"]),
        ("app.{name}.b", ["app.in.b"]),
        ("fil{name}", ["filter"]),
        ("x.{name}", []),
    ],
)
def test_of_the_filters_own_modules_all_may_be_meant(name: str, found: list[str]) -> None:
    sources = {
        "/0/filter.py": f"def f(name):\n    import_module(f'{name}')\n",
        "/0/app/a.py": "",
        "/0/app/in/b.py": "",
    }
    one = reach(sources, own=sources)
    imports, _ = one.follow(["/0/filter.py"], frozenset({"filter"}))
    assert [late.module for late in imports] == found
    assert one.computed == ({} if found else {"filter.py:2": []})


def _computed(call: str) -> tuple[list[str], dict[str, list[str]]]:
    """What an import in a package may mean, and what is said about it."""
    sources = {
        "/0/app/__init__.py": f"NAMES = ('a', 'b', 'missing')\nFULL = ['app.b:f', '.a']\ndef f(name):\n    {call}\n",
        "/0/app/a.py": "",
        "/0/app/b.py": "",
    }
    one = reach(sources)
    imports, _ = one.follow(["/0/app/__init__.py"], frozenset({"app"}))
    return [late.module for late in imports], one.computed


def test_a_source_that_could_not_be_imported_is_not_complained_about() -> None:
    sources = {"/0/app/optional.py": "def f():\n    import decimal\n"}
    imports, _ = reach(sources).follow(sources, frozenset())
    assert imports[0] == LateImport("decimal", (), "app/optional.py:2", "f", handled=True)


@pytest.mark.parametrize(
    ("unit", "called"),
    [("used", True), ("Used.method", True), ("Other.used", True), ("unused", False), ("Unused.method", False)],
)
def test_what_the_program_mentions_may_be_called(unit: str, called: bool) -> None:
    sources = {"/0/filter.py": "used(Used)\n"}
    one = reach(sources)
    one.follow(sources, frozenset({"filter"}))
    assert one.calls(unit) == called


def test_where_the_compiler_is_needed() -> None:
    sources = {
        "/0/a.py": "x = eval('1')\n",
        "/0/b.py": "\ndef f(x):\n    return eval(x)\n",
        "/python/c.py": "def f(x):\n    eval(x)\n",
    }
    one = reach(sources)
    one.follow(sources, frozenset({"a", "b", "c"}))
    assert one.compiler_use() == "b.py:3"
