"""What a source says that a build must know is read from its syntax tree."""

from __future__ import annotations

import pytest

from pwasm_compiler.guest.facts import Codec, Computed, Import
from tests.support.facts import facts_of


def later(text: str) -> list[tuple[int, str, int, str, tuple[str, ...]]]:
    found = [one for one in facts_of(text).imports if one.unit]
    return [(one.line, one.unit, one.level, one.module, one.names) for one in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f():\n    import decimal", (2, "f", 0, "decimal", ())),
        ("def f():\n    import a.b as c", (2, "f", 0, "a.b", ())),
        ("def f():\n    from a import b, c as d", (2, "f", 0, "a", ("b", "c"))),
        ("def f():\n    from . import x", (2, "f", 1, "", ("x",))),
        ("def f():\n    from ..y import z", (2, "f", 2, "y", ("z",))),
        ("class A:\n    async def f(self):\n        if self:\n            import a", (4, "A.f", 0, "a", ())),
        ("class A:\n    class B:\n        def f(self):\n            import a", (4, "B.f", 0, "a", ())),
        ("def f():\n    def g():\n        import a", (3, "f", 0, "a", ())),
        ("def f():\n    class A:\n        import a", (3, "f", 0, "a", ())),
        ("f = lambda: __import__('a')\ndef g():\n    import a", (3, "g", 0, "a", ())),
        ("def f():\n    with x:\n        for y in z:\n            import a", (4, "f", 0, "a", ())),
        (
            "def f(x):\n    if sys.version_info < (3, 9):\n        import b\n    else:\n        import a",
            (5, "f", 0, "a", ()),
        ),
        (
            "def f(x):\n    if TYPE_CHECKING or sys.platform == 'win32':\n        import b\n    import a",
            (4, "f", 0, "a", ()),
        ),
        ("def f(x):\n    if not t.TYPE_CHECKING:\n        import a", (3, "f", 0, "a", ())),
        (
            "import b\nif __name__ == '__main__':\n    def f():\n        import c\ndef g():\n    import a",
            (6, "g", 0, "a", ()),
        ),
    ],
)
def test_an_import_in_a_function(text: str, found: tuple[int, str, int, str, tuple[str, ...]]) -> None:
    assert later(text) == [found]


def test_an_import_at_the_top_runs_at_build() -> None:
    text = "import a\nif x:\n    from b import c\nclass A:\n    import d\n"
    assert facts_of(text).imports == (
        Import(1, "", 0, "a", (), handled=False),
        Import(3, "", 0, "b", ("c",), handled=False),
        Import(5, "", 0, "d", (), handled=False),
    )


@pytest.mark.parametrize(
    ("text", "handled"),
    [
        ("try:\n  import a\n except ImportError:\n  pass", True),
        ("try:\n  import a\n except (KeyError, ModuleNotFoundError) as e:\n  pass", True),
        ("try:\n  import a\n except builtins.Exception:\n  pass", True),
        ("try:\n  import a\n except:\n  pass", True),
        ("try:\n  if x:\n   import a\n except* ImportError:\n  pass", True),
        ("try:\n  import a\n except ImportError as error:\n  log(error)\n  raise Missing from error", False),
        ("try:\n  import a\n except ValueError:\n  raise\n except ImportError:\n  a = None", True),
        ("with contextlib.suppress(ImportError):\n  import a", True),
        ("try:\n  import a\n except KeyError:\n  pass", False),
        ("try:\n  pass\n except ImportError:\n  import a", False),
        ("try:\n  pass\n except ImportError:\n  pass\n else:\n  import a", False),
        ("try:\n  import a\n finally:\n  pass", False),
        ("with open(ImportError):\n  import a", False),
    ],
)
def test_whether_an_import_error_is_handled(text: str, handled: bool) -> None:
    (found,) = facts_of(f"def f():\n {text}\n").imports
    assert found.handled == handled


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("from sys import platform as p\nif p == 'win32':\n import a", False),
        ("from sys import version_info\nif version_info < (3, 9):\n import a", False),
        ("from typing import TYPE_CHECKING as T\nif T:\n import a", False),
        ("from os import name\nif name == 'nt':\n import a", False),
        ("from x import name\nif name == 'nt':\n import a", True),
        ("match sys.platform:\n case 'win32' | 'cygwin':\n  import a", False),
        ("match sys.platform:\n case 'win32':\n  pass\n case _:\n  import a", True),
        ("match sys.platform:\n case _:\n  pass\n case 'win32':\n  import a", False),
        ("match sys.platform:\n case 'win32' if x:\n  import a", True),
        ("match sys.platform:\n case ['win32']:\n  import a", True),
        ("match x:\n case 'win32':\n  import a", True),
    ],
)
def test_conditions_by_other_names(text: str, *, runs: bool) -> None:
    assert any(one.module == "a" for one in facts_of(text).imports) is runs


@pytest.mark.parametrize(
    ("text", "handled"),
    [
        ("from contextlib import suppress as quiet\nwith quiet(ImportError):\n import a", True),
        ("from importlib.util import find_spec as look\nif look('a') is not None:\n import a", True),
        ("if importlib.util.find_spec('a'):\n pass\nelse:\n import a", False),
        ("ERRORS: Any = (ImportError,)\ntry:\n import a\nexcept ERRORS:\n pass", True),
    ],
)
def test_what_handles_by_another_name(text: str, *, handled: bool) -> None:
    assert next(one for one in facts_of(text).imports if one.module == "a").handled is handled


@pytest.mark.parametrize("top", ["ERRORS = (ImportError, KeyError)", "ERRORS = ImportError", "ERRORS = x or Exception"])
def test_exceptions_by_another_name(top: str) -> None:
    (found,) = facts_of(f"{top}\ndef f():\n try:\n  import a\n except ERRORS:\n  pass\n").imports
    assert found.handled


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        ("import_module('a.b')", "a.b"),
        ("importlib.import_module('.b', __package__)", ".b"),
        ("__import__('a')", "a"),
        ("import_module(name='a')", "a"),
        ("import_module('.b', 'app')", "app.b"),
        ("import_module(f'..{name}', package='app.inner')", "app.*"),
        ("import_module('app.' + name)", "app.*"),
        ("import_module(f'{__name__}.{name}')", "{__name__}.*"),
        ("import_module(f'a.{x}{y}.b')", "a.*.b"),
        ("import_module('a.%s' % name)", "a.*"),
        ("import_module('a.%s_%d' % (x, y))", "a.*_*"),
        ("import_module('a.%(n)s' % {'n': x})", "a.*"),
        ("import_module('a.v%02d' % x)", "a.v*"),
        ("import_module('a.{}.b'.format(name))", "a.*.b"),
        ("import_module('{0}{x}'.format(name, x=1))", "*"),
        ("__import__('a_' + name, globals(), locals(), ['X'], 1)", ".a_*"),
        ("__import__('a_%s' % name, globals(), level=1)", ".a_*"),
        ("__import__('a', globals(), level=LEVEL)", "a"),
        ("import_module(name)", "*"),
    ],
)
def test_a_computed_import(call: str, pattern: str) -> None:
    found = facts_of(f"KNOWN = ('x.y', 'z', 'no module', '')\ndef f(name):\n    {call}\n")
    assert found.computed == (Computed(3, "f", pattern, handled=False),)
    assert {"x.y", "z"} <= set(found.literals)
    assert not {"no module", ""} & set(found.literals)


@pytest.mark.parametrize(
    "text",
    [
        "from importlib import import_module as load",
        "load = importlib.import_module",
        "load: Any = importlib.import_module",
        "(load := importlib.import_module)",
        "from runpy import run_module as load",
    ],
)
def test_an_import_by_another_name(text: str) -> None:
    assert facts_of(f"{text}\ndef f():\n    load('a')\n").computed == (Computed(3, "f", "a", handled=False),)


def test_a_function_that_imports_and_is_found_by_its_name() -> None:
    (found,) = facts_of("def f():\n    getattr(importlib, 'import_module')('a')\n").computed
    assert found == Computed(2, "f", "*", handled=False)


def test_a_module_that_is_found_and_executed() -> None:
    text = "def f():\n    spec = importlib.util.find_spec('a')\n"
    assert facts_of(text).computed == ()
    assert facts_of(f"{text}    spec.loader.exec_module(m)\n").computed == (Computed(2, "f", "a", handled=True),)


@pytest.mark.parametrize(
    ("test", "runs"),
    [
        ("__name__ == '__main__'", False),
        ("__name__ != '__main__'", True),
        ("__name__ in ('filter', '__main__')", True),
        ("__name__ == 'filter'", True),
        ("sys.version_info >= 3", True),
        ("sys.version_info > (3, 'x')", True),
        ("sys.version_info[0] == 2", False),
        ("sys.version_info[:2] < (3, 9)", False),
        ("sys.version_info.major < 3", False),
        ("sys.version_info[9] == 3", True),
        ("sys.platform.startswith('win')", False),
        ("sys.platform in ('win32', 'cygwin')", False),
        ("os.name == 'nt'", False),
        ("os.name != 'nt'", True),
        ("not sys.platform.startswith(('win', 'darwin'))", True),
        ("platform.system() == 'Windows'", False),
        ("platform.system() not in ('Windows', 'Darwin')", True),
        ("platform.system(x) == 'Windows'", True),
        ("platform.machine() == 'x86_64'", True),
    ],
)
def test_conditions_that_are_the_same_in_every_vm(test: str, *, runs: bool) -> None:
    found = facts_of(f"def f():\n    if {test}:\n        import a\n").imports
    assert bool(found) is runs


def test_what_resolves_names_of_its_own_imports_nothing() -> None:
    assert facts_of("def f(self, name):\n    return self.resolve_name(name), resolve_name(name)\n").computed == ()


def test_literals_are_only_noted_where_a_name_is_computed() -> None:
    assert facts_of("KNOWN = ('x.y', 'z')\n").literals == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("b.decode('cp1252')", ["cp1252"]),
        ("str(b, 'koi8-r')", ["koi8-r"]),
        ("bytes(c, encoding='utf-16')", ["utf-16"]),
        ("codecs.lookup('idna')", ["idna"]),
        ("codecs.getincrementaldecoder('utf-7')", ["utf-7"]),
        ("b.decode(encoding or 'cp437')", ["cp437"]),
        ("open(p, encoding='a' if x else 'b')", ["b", "a"]),
        ("'x'.encode()", []),
        ("import idna\nidna.encode('example')", []),
        ("from base64 import b64\nb64.decode('abc')", []),
        ("encode(x, 'y')", []),
        ("from codecs import encode\nencode(x, 'rot13')", ["rot13"]),
        ("import codecs\ncodecs.encode('idna', 'rot13')", ["rot13"]),
        ("import codecs as c\nc.iterdecode(x, 'utf-7')", ["utf-7"]),
        ("import codecs\ncodecs.open(p, 'r', 'utf-7')", ["utf-7"]),
        ("open(p, 'r', -1, 'utf-7')", ["utf-7"]),
        ("Path(p).read_text('utf-7')", ["utf-7"]),
        ("Header(x, 'koi8-r')", ["koi8-r"]),
    ],
)
def test_a_codec(text: str, names: list[str]) -> None:
    assert [one.name for one in facts_of(text).codecs] == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from there import data\ndata.decode('cp1252')", ("cp1252",)),
        ("NAME = 'KOI8-R'\ndef f(b):\n    return b.decode(NAME)", ("KOI8-R",)),
        ("def f(b, name='iso8859_2'):\n    return str(b, name)", ("iso8859_2",)),
        ("def f(b, name):\n    return open(b, encoding={'a': 'latin 1', 'b': 'no codec'}[name])", ("latin 1",)),
        ("NAME = 'cp1252'\nb'x'.decode('utf-8')", ()),
    ],
)
def test_names_of_codecs_where_one_is_computed(text: str, names: tuple[str, ...]) -> None:
    assert facts_of(text).spelled == names


def test_a_literal_that_is_compiled_is_read_too() -> None:
    found = facts_of(
        "def f():\n    exec('import a\\nfrom b import c')\n    return eval('__import__(\"d\")'), eval('(')"
    )
    assert [(one.line, one.unit, one.module) for one in found.imports] == [(2, "f", "a"), (2, "f", "b")]
    assert found.computed == (Computed(3, "f", "d", handled=False),)


def test_submodules_that_import_takes_by_a_list() -> None:
    found = facts_of("def f():\n    return __import__('a.b', fromlist=['c', 'd'])\n").imports
    assert found == (Import(2, "f", 0, "a.b", ("c", "d"), handled=True),)


def test_the_place_of_a_codec() -> None:
    assert facts_of("def f(a):\n    return a.decode('cp1252')\n").codecs == (Codec(2, "f", "cp1252"),)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Point = namedtuple('Point', 'x y')", ()),
        ("import re\ndef f():\n    return re.compile('x')", ()),
        ("def f(text):\n    return eval(text)", (2,)),
        ("def f(text):\n    call = exec\n    call(text)", (2,)),
        ("f = lambda text: compile(text, '', 'exec')", (1,)),
        ("import builtins\ndef f():\n    return builtins.eval", (3,)),
        ("import ast\ndef f(text):\n    return ast.literal_eval(text)", (3,)),
        ("import ast\ndef f(text):\n    return ast.parse(text)", (3,)),
        ("def f():\n    from ast import parse\n    return parse", (2,)),
        ("from ast import literal_eval as read", (1,)),
        ("def f():\n    class P(NamedTuple):\n        x: int", (2,)),
        ("def f():\n    @dataclass\n    class P:\n        x: int", (2,)),
        ("class A:\n    async def f(self):\n        return collections.namedtuple('P', 'x')", (3,)),
        ("import timeit", (1,)),
        ("READ = {'literal': literal_eval}", (1,)),
        ("EV = eval", (1,)),
        ("def f(text, read=eval):\n    return read(text)", (1,)),
        ("class A:\n    read = staticmethod(eval)", (2,)),
        ("x = eval('1')", ()),
        ("import gettext\ndef f(p):\n    return gettext.translation(p)", (3,)),
        ("from gettext import gettext as _", ()),
        ("import inspect\ndef f(g):\n    return inspect.signature(g, eval_str=True)", (3,)),
        ("import inspect\ndef f(g):\n    return inspect.signature(g, eval_str=False)", ()),
    ],
)
def test_what_may_compile_when_it_runs(text: str, lines: tuple[int, ...]) -> None:
    assert facts_of(text).compiles == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def f(x):\n    return x.__doc__", (2,)),
        ("print(__doc__)", (1,)),
        ("import inspect\ndef f(x):\n    return inspect.getdoc(x)", (3,)),
        ("def f(x, y):\n    x.__doc__ = y.__doc__ + 'more'", ()),
        ("__doc__ = 'text'", ()),
        ("getattr(f, '__doc__', '')", (1,)),
        ("setattr(f, '__doc__', '')", ()),
    ],
)
def test_what_reads_a_docstring(text: str, lines: tuple[int, ...]) -> None:
    assert facts_of(text).docs == lines


def test_the_names_that_each_unit_mentions() -> None:
    text = "x = y\ndef f(a=b):\n    return c.d(a)\nclass E(F):\n    g = h\n    def i(self):\n        j()\nf()\n"
    assert facts_of(text).units == {
        "": {"f", "b"},
        "x": {"x", "y"},
        "f": {"c", "d", "a"},
        "E": {"F", "g", "h"},
        "E.i": {"j"},
    }
