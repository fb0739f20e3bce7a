"""Small packages with imports of every form, made from a seed: what they find must not depend on who runs them.

Each package has functions without arguments, `CALLS` of its module `entry`, which return a text or raise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

_LIBRARY = (
    "base64", "bisect", "calendar", "cmath", "colorsys", "copy", "csv", "decimal", "difflib", "email.message",
    "fnmatch", "fractions", "graphlib", "hashlib", "heapq", "html.entities", "html.parser", "http.cookies",
    "ipaddress", "json.tool", "numbers", "pprint", "queue", "quopri", "statistics", "string", "textwrap",
    "urllib.parse", "uuid", "wave", "xml.dom.minidom", "xml.etree.ElementTree", "zlib",
)  # fmt: skip
_MISSING = ("nothing_of_the_kind", "nowhere.at_all", "tkinter_of_the_future")


class _Maker:
    """Makes one package, called `name`, in `folder`."""

    def __init__(self, folder: Path, name: str, chance: random.Random) -> None:
        self.folder, self.name, self.chance = folder / name, name, chance
        self._modules = 0
        self._calls: list[str] = []
        self._top: list[str] = []

    def make(self) -> None:
        forms: list[Callable[[], list[str]]] = [
            self._absolute, self._from_package, self._from_module, self._relative, self._relative_module, self._deep,
            self._upward, self._star, self._in_class, self._handled, self._suppressed, self._type_checking, self._old,
            self._conditional, self._namespace, self._module_getattr, self._literal, self._computed, self._f_string,
            self._table, self._library, self._library_from, self._alias, self._nested, self._lambda, self._default,
            self._circle, self._codec, self._initialized,
        ]  # fmt: skip
        for _ in range(self.chance.randint(3, 7)):
            body = self.chance.choice(forms)()
            name = f"call_{len(self._calls)}"
            self._calls.append(name)
            self._top += [f"def {name}():", *(f"    {line}" for line in body), ""]
        self._write("__init__.py", "")
        text = ["import importlib", "import sys", "from contextlib import suppress", "from typing import TYPE_CHECKING"]
        text += ["", *self._top, f"CALLS = ({''.join(f'{name}, ' for name in self._calls)})"]
        self._write("entry.py", "\n".join(text) + "\n")

    def _write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _module(self, folder: str = "", text: str = "") -> str:
        """A new module, and its name in its folder."""
        self._modules += 1
        name = f"m{self._modules}"
        self._write(f"{folder}{name}.py", f"{text}VALUE = '{name} of ' + __name__\n")
        return name

    def _package(self) -> str:
        """A new package in the package."""
        self._modules += 1
        name = f"p{self._modules}"
        self._write(f"{name}/__init__.py", "")
        return name

    # --- forms: the body of a function --------------------------------------------------------------------------------

    def _absolute(self) -> list[str]:
        module = self._module()
        return [f"import {self.name}.{module}", f"return {self.name}.{module}.VALUE"]

    def _from_package(self) -> list[str]:
        module = self._module()
        return [f"from {self.name} import {module}", f"return {module}.VALUE"]

    def _from_module(self) -> list[str]:
        return [f"from {self.name}.{self._module()} import VALUE", "return VALUE"]

    def _relative(self) -> list[str]:
        module = self._module()
        return [f"from . import {module} as other", "return other.VALUE"]

    def _relative_module(self) -> list[str]:
        return [f"from .{self._module()} import VALUE", "return VALUE"]

    def _deep(self) -> list[str]:
        package = self._package()
        return [f"from .{package}.{self._module(f'{package}/')} import VALUE as found", "return found"]

    def _upward(self) -> list[str]:
        package, target = self._package(), self._module()
        text = f"def up():\n    from .. import {target}\n    return {target}.VALUE\n"
        return [f"from .{package} import {self._module(f'{package}/', text)} as below", "return below.up()"]

    def _star(self) -> list[str]:
        inner = self._module()
        outer = self._module(text=f"from .{inner} import *\nSEEN = VALUE\n")
        return [f"from .{outer} import SEEN", "return SEEN"]

    def _in_class(self) -> list[str]:
        return ["class Holder:", f"    from .{self._module()} import VALUE", "return Holder.VALUE"]

    def _handled(self) -> list[str]:
        missing = self.chance.choice(_MISSING)
        return [
            "try:",
            f"    import {missing}",
            "except ImportError:",
            f"    from .{self._module()} import VALUE",
            "    return VALUE",
        ]

    def _suppressed(self) -> list[str]:
        return ["with suppress(ImportError):", f"    import {self.chance.choice(_MISSING)}", "return 'suppressed'"]

    def _type_checking(self) -> list[str]:
        return ["if TYPE_CHECKING:", f"    import {self.chance.choice(_MISSING)}", "return 'not checking'"]

    def _old(self) -> list[str]:
        good, bad = f"    from .{self._module()} import VALUE", f"    from {self.chance.choice(_MISSING)} import VALUE"
        return ["if sys.version_info >= (3, 9):", good, "else:", bad, "return VALUE"]

    def _conditional(self) -> list[str]:
        module = self._module()
        return [
            f"if len({self.name!r}) > {self.chance.randint(0, 9)}:",
            f"    from . import {module} as found",
            "else:",
            "    found = sys",
            "return found.__name__",
        ]

    def _namespace(self) -> list[str]:
        self._modules += 1
        folder = f"n{self._modules}"
        return [f"from .{folder} import {self._module(f'{folder}/')} as found", "return found.VALUE"]

    def _module_getattr(self) -> list[str]:
        package = self._package()
        names = [self._module(f"{package}/") for _ in range(2)]
        self._write(
            f"{package}/__init__.py",
            f"import importlib\n_LAZY = {names!r}\ndef __getattr__(name):\n    if name in _LAZY:\n"
            "        return importlib.import_module('.' + name, __name__)\n    raise AttributeError(name)\n",
        )
        return [f"from . import {package} as lazy", f"return lazy.{self.chance.choice(names)}.VALUE"]

    def _literal(self) -> list[str]:
        call = self.chance.choice(
            (f"importlib.import_module('{self.name}.{{0}}')", "importlib.import_module('.{0}', __package__)")
        )
        return [f"return {call.format(self._module())}.VALUE"]

    def _computed(self) -> list[str]:
        names = tuple(self._module() for _ in range(3))
        return [
            f"found = [importlib.import_module('{self.name}.' + name) for name in {names!r}]",
            "return ','.join(one.VALUE for one in found)",
        ]

    def _f_string(self) -> list[str]:
        names = [self._module() for _ in range(2)]
        return [
            f"for name in {names!r}:",
            "    found = importlib.import_module(f'{__package__}.{name}')",
            "return found.VALUE",
        ]

    def _table(self) -> list[str]:
        module = f"{self.name}.{self._module()}"
        self._top[:0] = [f"TABLE_{self._modules} = {{'a': {module!r}}}"]
        return [f"return __import__(TABLE_{self._modules}['a'], fromlist=['VALUE']).VALUE"]

    def _library(self) -> list[str]:
        module = self.chance.choice(_LIBRARY)
        return [f"import {module} as found", "return found.__name__"]

    def _library_from(self) -> list[str]:
        package, _, module = self.chance.choice([name for name in _LIBRARY if "." in name]).rpartition(".")
        return [f"from {package} import {module} as found", "return found.__name__"]

    def _alias(self) -> list[str]:
        return [f"import {self.name}.{self._module()} as short", "return short.VALUE"]

    def _nested(self) -> list[str]:
        return ["def inner():", f"    from .{self._module()} import VALUE", "    return VALUE", "return inner()"]

    def _lambda(self) -> list[str]:
        return [f"return (lambda: __import__('{self.name}.{self._module()}', fromlist=['VALUE']))().VALUE"]

    def _default(self) -> list[str]:
        return [
            f"def inner(value=__import__('{self.name}.{self._module()}', fromlist=['x']).VALUE):",
            "    return value",
            "return inner()",
        ]

    def _circle(self) -> list[str]:
        first, second = self._module(), self._module()
        for one, other in ((first, second), (second, first)):
            text = f"def other():\n    from . import {other}\n    return {other}.VALUE\nVALUE = '{one}'\n"
            self._write(f"{one}.py", text)
        return [f"from . import {first}", f"return {first}.other()"]

    def _codec(self) -> list[str]:
        codec = self.chance.choice(("cp1252", "utf-16-le", "koi8-r", "cp437", "rot13", "unicode_escape"))
        return [f"return {codec!r} and str('x'.encode({codec!r} if {codec!r} != 'rot13' else 'ascii'))"]

    def _initialized(self) -> list[str]:
        package = self._package()
        inner = self._module(f"{package}/")
        self._write(f"{package}/__init__.py", f"from .{inner} import VALUE as READY\n")
        return [f"import {self.name}.{package}", f"return {self.name}.{package}.READY"]


def make_packages(folder: Path, seed: int, count: int) -> list[str]:
    """Write packages into `folder`; returns their names."""
    names = [f"made_{seed + number}" for number in range(count)]
    for number, name in enumerate(names):
        _Maker(folder, name, random.Random(seed + number)).make()
    return names


def outcomes(entries: list[object]) -> Iterator[str]:
    """What each call of each entry returns or raises."""
    for entry in entries:
        for call in entry.CALLS:  # type: ignore[attr-defined]
            try:
                found = call()
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            yield f"{entry.__name__}.{call.__name__}: {found}"  # type: ignore[attr-defined]
