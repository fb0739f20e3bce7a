"""Whatever objects a filter leaves in its modules, it is frozen: their attributes need not be what they usually are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pwasm.testing import HostEmulator
from pwasm.testing.wasm import WasmPlugin
from pwasm_compiler.build.pipeline import build
from pwasm_compiler.errors import BuildError
from pwasm_compiler.project import load_project

pytestmark = pytest.mark.wasm

FILTER = """\
import json

import pwasm

{imports}

CASES = {{{cases}}}


class Answers(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers, end_of_stream):
        pwasm.send_http_response(200, body=json.dumps({{name: case.works() for name, case in CASES.items()}}))
        return pwasm.Action.PAUSE


pwasm.set_http_context(Answers)
"""

ODD: dict[str, tuple[str, str]] = {
    # what is odd → (source, an expression that is true at run time)
    "a function of exec": (
        """
namespace = {}
exec("def check(x):\\n    return x > 1", namespace)
CHECK = namespace["check"]
assert CHECK.__module__ is None""",
        "CHECK(2)",
    ),
    "a class of exec": (
        """
namespace = {}
exec("class Made:\\n    pass", namespace)
Made = namespace["Made"]
Made.__module__ = None""",
        "Made() is not None",
    ),
    "modules that are none": (
        """
import sys
class Slotted:
    __slots__ = ()
sys.modules["blocked"] = None
sys.modules["a_number"] = 5
sys.modules["slotted"] = Slotted()
sys.modules[5] = sys""",
        "sys.modules['blocked'] is None",
    ),
    "an object that raises": (
        """
import sys
class Raises:
    def __getattribute__(self, name):
        raise RuntimeError(name)
sys.modules["raises"] = RAISES = Raises()
sys.path_hooks.append(Raises())""",
        "type(RAISES) is Raises",
    ),
    "a lazy module": (
        """
import sys, types
class Lazy(types.ModuleType):
    def __getattribute__(self, name):
        raise ImportError(f"{name} is not installed")
    def __setattr__(self, name, value):
        raise ImportError(f"{name} is not installed")
sys.modules["lazy"] = LAZY = Lazy("lazy", "its docstring")""",
        "type(LAZY) is Lazy",
    ),
    "a module without __doc__": (
        """
import sys, types
sys.modules["bare"] = BARE = types.ModuleType("bare")
del BARE.__doc__
del BARE.__name__""",
        "not vars(BARE).get('__doc__')",
    ),
    "a proxy that lies about its class": (
        """
class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("not bound")
    def __getattr__(self, name):
        raise RuntimeError("not bound")
PROXY = Proxy()""",
        "type(PROXY) is Proxy",
    ),
    "a proxy that says it is a function": (
        """
import types
class Proxy:
    __class__ = types.FunctionType
    __module__ = "pwasm.not"
    __slots__ = ()
PROXY = Proxy()""",
        "type(PROXY) is Proxy",
    ),
    "a metaclass that answers": (
        """
class Meta(type):
    def __getattribute__(cls, name):
        raise RuntimeError(name)
class Odd(metaclass=Meta):
    pass""",
        "type(Odd) is Meta",
    ),
    "a metaclass with other flags": (
        """
class Meta(type):
    __flags__ = "none"
    __dict__ = property(lambda cls: {})
    __subclasses__ = None
class Odd(metaclass=Meta):
    pass""",
        "type(Odd) is Meta",
    ),
    "names of another type": (
        """
import sys, types
class Text(str):
    def __repr__(self):
        return "<text>"
sys.modules[Text("text")] = types.ModuleType("text")
def function():
    return "ok"
function.__module__ = 5""",
        "function() == 'ok'",
    ),
}


def test_it_is_built_and_works(tmp_path: Path) -> None:
    """Each in a module of its own, all in one filter."""
    for number, (odd, answer) in enumerate(ODD.values()):
        text = f"{odd}\n\n\ndef works():\n    return {answer}\n"
        (tmp_path / f"odd{number}.py").write_text(text, encoding="utf-8")
    imports = "\n".join(f"import odd{number}" for number in range(len(ODD)))
    cases = ", ".join(f"{name!r}: odd{number}" for number, name in enumerate(ODD))
    (tmp_path / "filter.py").write_text(FILTER.format(imports=imports, cases=cases), encoding="utf-8")
    module = build(load_project(tmp_path), tmp_path / "main.wasm").path
    response = HostEmulator(plugin=lambda host: WasmPlugin(module, host)).request("GET", "/").local_response
    assert response is not None
    assert json.loads(response.body) == dict.fromkeys(ODD, True)


NAMELESS = """\
import pwasm

Answers = type("Answers", (pwasm.HttpContext,), {"on_http_request_headers": lambda self, count, end: None})
Answers.__module__ = None
pwasm.set_http_context(Answers)
"""


class TestContexts:
    """Of a context class or factory, too."""

    def test_a_class_without_a_module(self, tmp_path: Path) -> None:
        (tmp_path / "filter.py").write_text(NAMELESS, encoding="utf-8")
        assert "Answers" in build(load_project(tmp_path), tmp_path / "main.wasm").written

    def test_a_factory_whose_name_is_no_text(self, tmp_path: Path) -> None:
        source = (
            "import pwasm\nclass Factory:\n    __qualname__ = 'F'\n    def __call__(self, context_id):\n"
            "        return pwasm.HttpContext(context_id)\nfactory = Factory()\nfactory.__qualname__ = object()\n"
            "pwasm.set_http_context(factory)\n"
        )
        (tmp_path / "filter.py").write_text(source, encoding="utf-8")
        assert build(load_project(tmp_path), tmp_path / "main.wasm").written == {"F": None}


@pytest.mark.parametrize("name", ["object()", "b'bytes'", "type('Text', (str,), {'__repr__': lambda self: '<'})('x')"])
def test_an_exception_with_a_name_of_another_type_is_reported_as_it_is(name: str, tmp_path: Path) -> None:
    source = f"class Own(Exception):\n    name = {name}\n\nraise Own('what went wrong')\n"
    (tmp_path / "filter.py").write_text(source, encoding="utf-8")
    with pytest.raises(BuildError, match="cannot import the filter") as caught:
        build(load_project(tmp_path), tmp_path / "main.wasm")
    assert "what went wrong" in caught.value.why
