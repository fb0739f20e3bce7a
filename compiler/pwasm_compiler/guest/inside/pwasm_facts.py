"""What a source says that a build must know, read from its syntax tree before anything is removed from that.

It runs in the guest, whose Python is the one that the source is for. A fact is a line of fields, separated by tabs, of
which the first is its kind; `pwasm_compiler.guest.facts` reads them:

    import   line, unit, level, module, names with commas, "handled" or ""
    computed line, unit, pattern of an imported name, with "*" for what is not a literal; "handled" or ""
    codec    line, unit, name
    spelled  text that is the name of a codec, if one is computed, or decodes what may be no text
    compiles line
    doc      line
    unit     name, and the names that it mentions, with commas
    literal  text that could be the name of a module, if one is computed
    resumes
    class    name, names in its bases, methods, "name:line" of those that are `async def`, each with commas
    pause    class, headers callback, its statements (`pwasm_compiler.guest.paused_headers` explains them)
    inner    function in a function, and the names that it mentions, with commas

A unit is an outermost function, or a method with its class: code that runs later. "" is what runs at import.
Node types are compared by name, so the module `ast` is not needed.
"""

from __future__ import annotations

from encodings.aliases import aliases

from pwasm_conditions import cases, known, original  # type: ignore[import-not-found]
from pwasm_tables import COMPILES_TEXT, MODULES_THAT_COMPILE  # type: ignore[import-not-found]
from pwasm_tree import absolute, dots_of, name_of, names_in, nodes_in, pattern_of, texts_in  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ASSIGNS = ("Assign", "AnnAssign", "NamedExpr")
_FUNCTIONS = ("FunctionDef", "AsyncFunctionDef", "Lambda")
_HANDLES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_BY_NAME = {"import_module", "__import__"}
_RESOLVES = {("pkgutil", "resolve_name"), ("runpy", "run_module")}
_CODECS = {
    # function that takes the name of a codec: at which position
    "Charset": 0,
    "Header": 1,
    "TextIOWrapper": 1,
    "bytearray": 1,
    "bytes": 1,
    "decode": 0,
    "encode": 0,
    "getdecoder": 0,
    "getencoder": 0,
    "getincrementaldecoder": 0,
    "getincrementalencoder": 0,
    "getreader": 0,
    "getwriter": 0,
    "lookup": 0,
    "open": 3,
    "read_text": 0,
    "str": 1,
    "write_text": 1,
}
_OF_CODECS = {"EncodedFile": 1, "decode": 1, "encode": 1, "iterdecode": 1, "iterencode": 1, "open": 2}
"""The same for functions of the module `codecs`, where it differs."""
_CODEC_NAMES = frozenset({
    *aliases, *aliases.values(), "cp1006", "cp720", "cp737", "cp856", "cp874", "cp875", "idna", "koi8_t", "koi8_u",
    "mac_arabic", "mac_croatian", "mac_farsi", "mac_romanian", "punycode", "raw_unicode_escape", "unicode_escape",
    "utf_8_sig",
})  # fmt: skip
"""Those of the library, which has aliases for most; written as they are found (see `encodings.normalize_encoding`)."""
_COMPILES = {"compile", "eval", "exec"}
_COMPILES_LATER = {("gettext", "GNUTranslations"), ("gettext", "install"), ("gettext", "translation")}
"""A catalogue says in an expression how its language counts."""
_RESUMES = frozenset(
    {
        "resume_http_request", "resume_http_response", "dispatch_http_call", "dispatch_grpc_call", "open_grpc_stream",
        "set_tick_period_milliseconds", "set_tick_period_milli_seconds", "on_tick", "on_queue_ready",
        "on_foreign_function",
    }
)  # fmt: skip
"""What resumes a stream, and what has later callbacks that might answer or close it."""
_HEADERS = ("on_http_request_headers", "on_http_response_headers")
_NAME = 60
"""The longest text that is taken for the name of a module."""
_ONLY_AST = 0x400


def facts(tree: Any) -> str:
    """The facts of a module."""
    return _Walk(tree).text()


class _Walk:
    """One walk over a tree."""

    def __init__(self, tree: Any) -> None:
        self._lines: list[str] = []
        self._units: dict[str, set[str]] = {}
        self._literals: set[str] = set()
        self._spelled: set[str] = set()
        self._modules = {"os": "os", "sys": "sys"}
        """Names that `import` has given to modules."""
        self._others: dict[str, str] = {}
        """Names that `from … import` has given to modules or to values, with where they are from."""
        self._originals: dict[str, str] = {}
        """The same, with `module.name`."""
        self._found: list[tuple[Any, str, str]] = []
        """Calls of `find_spec` with their unit and pattern: they import, if the source executes modules."""
        self._called: set[int] = set()
        """Nodes that are called, and not kept for later."""
        self._inner_texts: list[tuple[Any, str, str, bool, bool]] = []
        self._computes = False
        self._encodes = False
        self._resumes = False
        self._by_name = set(_BY_NAME)
        """What the functions that import by a name are called here."""
        self._catching = set(_HANDLES)
        """What exceptions that include ImportError are called here: `ERRORS = (ImportError, AttributeError)`."""
        self._copied: set[int] = set()
        """Nodes of a docstring that only becomes another one."""
        self._notes = {
            "AsyncFunctionDef": self._note_function,
            "Attribute": self._note_attribute,
            "Call": self._note_call,
            "ClassDef": self._note_class,
            "Constant": self._note_constant,
            "FunctionDef": self._note_function,
            "Import": self._note_import,
            "ImportFrom": self._note_import_from,
            "Name": self._note_name,
        }
        pending: list[tuple[Any, str, str, bool, bool]] = [(tree, "", "", False, False)]
        while pending:
            pending += reversed(list(self._visit(*pending.pop())))
            pending, self._inner_texts = [*pending, *self._inner_texts], []

    def text(self) -> str:
        lines = self._lines
        if any("exec_module" in names for names in self._units.values()):
            for node, unit, pattern in self._found:
                self._note_computed(node, unit, pattern, True)
        lines += [f"unit\t{unit}\t{','.join(sorted(names))}" for unit, names in self._units.items()]
        if self._computes:
            lines += [f"literal\t{text}" for text in sorted(self._literals)]
        if self._encodes:
            lines += [f"spelled\t{text}" for text in sorted(self._spelled)]
        if self._resumes or not all(_RESUMES.isdisjoint(names) for names in self._units.values()):
            lines.append("resumes")
        return "\n".join(lines)

    def _visit(self, node: Any, unit: str, outer: str, inside: bool, handled: bool) -> Iterator[Any]:
        """Note a node; yields those below it with their unit and class, whether they run later, and are in a `try`."""
        kind = type(node).__name__
        if kind == "Assign" and any("__doc__" in names_in(target) for target in node.targets):
            self._copied.update(map(id, nodes_in(node.value)))
        if kind in _ASSIGNS and node.value is not None:
            self._note_renamed(node.value, getattr(node, "targets", None) or [node.target])
        note = self._notes.get(kind)
        if note is not None:
            note(node, unit, inside, handled)
        if (runs := self._that_run(node, kind)) is not None:
            for child in runs:
                yield child, unit, outer, inside, handled
            return
        below = (unit, outer, inside)
        if kind in _FUNCTIONS and not inside:
            below = (f"{outer}{getattr(node, 'name', unit)}", outer, True)
            self._units.setdefault(below[0], set())
        elif kind == "ClassDef" and not inside:
            below = (node.name if not outer else unit, f"{node.name}.", False)
            self._units.setdefault(below[0], set())
        elif kind == "Assign" and not inside and not outer and type(node.targets[0]).__name__ == "Name":
            below = (node.targets[0].id, outer, inside)  # another name for something
        for field in node._fields:
            value = getattr(node, field, None)
            tried = (handled and kind not in _FUNCTIONS) or (field == "body" and self._handles(node, kind))
            for child in value if type(value) is list else (value,):
                if hasattr(child, "_fields"):
                    at_definition = kind in _FUNCTIONS and field != "body" and not inside
                    yield (child, unit, outer, inside, tried) if at_definition else (child, *below, tried)

    def _that_run(self, node: Any, kind: str) -> list[Any] | None:
        """The statements of a branch that may run, if that is the same in every VM."""
        if kind == "Match":
            return cases(node, self._originals)  # type: ignore[no-any-return]
        taken = known(node.test, self._originals) if kind == "If" else None
        return None if taken is None else list(node.body if taken else node.orelse)

    def _note_renamed(self, value: Any, targets: list[Any]) -> None:
        """`load = importlib.import_module`, `ERRORS = (ImportError, AttributeError)`."""
        given = set(filter(None, map(name_of, targets)))
        if name_of(value) in _BY_NAME:
            self._by_name |= given
            self._called.add(id(value))
        if type(value).__name__ != "Call" and not self._catching.isdisjoint(names_in(value)):
            self._catching |= given

    def _handles(self, node: Any, kind: str) -> bool:
        """Whether an ImportError in the body goes no further, or cannot be since the module was looked for."""
        caught = self._catching
        if kind in ("Try", "TryStar"):
            catching = [one for one in node.handlers if one.type is None or not caught.isdisjoint(names_in(one.type))]
            return bool(catching) and type(catching[0].body[-1]).__name__ != "Raise"
        if kind in ("With", "AsyncWith"):
            found = [{original(one, self._originals) for one in nodes_in(item.context_expr)} for item in node.items]
            return any("suppress" in names and not caught.isdisjoint(names) for names in found)
        return kind == "If" and "find_spec" in {original(one, self._originals) for one in nodes_in(node.test)}

    def _mention(self, name: str, unit: str) -> None:
        self._units.setdefault(unit, set()).add(name)

    def _add(self, *fields: object) -> None:
        self._lines.append("\t".join(map(str, fields)))

    # --- one kind of node each ----------------------------------------------------------------------------------------

    def _note_name(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        self._mention(node.id, unit)
        if self._is_kept(node, inside) and (node.id in _COMPILES or node.id in COMPILES_TEXT):
            self._add("compiles", node.lineno)
        if self._imports(node) and self._is_kept(node, inside=False):
            self._note_computed(node, unit if inside else "", "*", handled)
        if node.id in ("__doc__", "getdoc") and self._reads(node):
            self._add("doc", node.lineno)

    def _note_attribute(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        self._mention(node.attr, unit)
        owner = getattr(node.value, "id", "")
        compiles = (owner == "builtins" and node.attr in _COMPILES) or (owner, node.attr) == ("ast", "parse")
        compiles = compiles or (owner, node.attr) in _COMPILES_LATER or node.attr in COMPILES_TEXT
        if compiles and self._is_kept(node, inside):
            self._add("compiles", node.lineno)
        if self._imports(node) and self._is_kept(node, inside=False):
            self._note_computed(node, unit if inside else "", "*", handled)
        if node.attr in ("__doc__", "getdoc") and self._reads(node):
            self._add("doc", node.lineno)

    def _imports(self, function: Any) -> bool:
        """Whether a function imports what its argument names."""
        owner = getattr(getattr(function, "value", None), "id", "")
        name = getattr(function, "attr", "")
        return name in _BY_NAME or (owner, name) in _RESOLVES or getattr(function, "id", "") in self._by_name

    def _is_kept(self, node: Any, inside: bool) -> bool:
        """Whether what is mentioned may run later: outside of functions, what is not called at once."""
        return type(node.ctx).__name__ == "Load" and (inside or id(node) not in self._called)

    def _reads(self, node: Any) -> bool:
        return type(node.ctx).__name__ == "Load" and id(node) not in self._copied

    def _note_constant(self, node: Any, _unit: str, _inside: bool, _handled: bool) -> None:
        value = node.value
        if type(value) is not str or len(value) > _NAME:
            return
        if _is_codec(value):
            self._spelled.add(value)
        module, colon, member = value.partition(":")
        parts = [*module.lstrip(".").split("."), *(member.split(".") if colon else ())]
        if all(part.isidentifier() for part in parts):
            self._literals.add(value)
            self._resumes = self._resumes or value in _RESUMES  # getattr(pwasm, "resume_http_request")

    def _note_function(self, node: Any, _unit: str, inside: bool, _handled: bool) -> None:
        self._resumes = self._resumes or type(node).__name__ == "AsyncFunctionDef" or node.name in _RESUMES
        if inside:
            self._add("inner", node.name, ",".join(sorted(names_in(node) - {""})))

    def _note_class(self, node: Any, _unit: str, _inside: bool, _handled: bool) -> None:
        functions = [one for one in node.body if type(one).__name__ in ("FunctionDef", "AsyncFunctionDef")]
        waiting = [f"{one.name}:{one.lineno}" for one in functions if type(one).__name__ == "AsyncFunctionDef"]
        bases = sorted({name for base in node.bases for name in names_in(base)} - {""})
        self._add("class", node.name, ",".join(bases), ",".join(one.name for one in functions), ",".join(waiting))
        for one in functions:
            if one.name in _HEADERS and type(one).__name__ == "FunctionDef" and "PAUSE" in names_in(one):
                self._add("pause", node.name, one.name, " ".join(_shape(one.body)))

    def _note_import(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        for alias in node.names:
            self._modules[alias.asname or alias.name] = alias.name
            self._mention(alias.asname or alias.name.partition(".")[0], unit)
            self._add("import", node.lineno, unit if inside else "", 0, alias.name, "", _word(handled))
            if alias.name in MODULES_THAT_COMPILE:
                self._add("compiles", node.lineno)

    def _note_import_from(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        names = [alias.name for alias in node.names]
        module = node.module or ""
        for alias in node.names:
            self._mention(alias.name, unit)
            self._others[alias.asname or alias.name] = module
            self._originals[alias.asname or alias.name] = f"{module}.{alias.name}"
            if alias.name in _BY_NAME or (module, alias.name) in _RESOLVES:
                self._by_name.add(alias.asname or alias.name)
        self._add("import", node.lineno, unit if inside else "", node.level, module, ",".join(names), _word(handled))
        wanted = COMPILES_TEXT | {name for owner, name in _COMPILES_LATER if owner == module}
        wanted |= _COMPILES if module == "builtins" else {"parse"} if module == "ast" else set()
        if module in MODULES_THAT_COMPILE or any(
            alias.name in wanted and (inside or alias.asname is not None) for alias in node.names
        ):
            self._add("compiles", node.lineno)

    def _note_call(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        function, unit = node.func, unit if inside else ""
        self._called.add(id(function))
        called = str(getattr(function, "attr", None) or getattr(function, "id", ""))
        named = node.args or [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        if named and self._imports(function):
            self._note_computed(node, unit, absolute(dots_of(node) + pattern_of(named[0]), node), handled)
        if named and original(function, self._originals) == "find_spec":
            self._found.append((node, unit, absolute(dots_of(node) + pattern_of(named[0]), node)))
        if called == "getattr" and any(getattr(one, "value", "") in _BY_NAME for one in node.args[1:2]):
            self._note_computed(node, unit, "*", handled)
        if called == "__import__" and inside and named:
            self._note_fromlist(node, unit, named[0])
        if called == "getattr" and "__doc__" in [getattr(one, "value", "") for one in node.args[1:]]:
            self._add("doc", node.lineno)
        if any(one.arg == "eval_str" and getattr(one.value, "value", True) for one in node.keywords) and inside:
            self._add("compiles", node.lineno)
        if called in ("exec", "eval"):
            self._note_text(node, called, unit, inside, handled)
        self._note_codecs(node, called, unit)

    def _note_fromlist(self, node: Any, unit: str, module: Any) -> None:
        given = [keyword.value for keyword in node.keywords if keyword.arg == "fromlist"] or node.args[3:4]
        submodules = [text for one in given for item in getattr(one, "elts", ()) for text in texts_in(item)]
        for name in texts_in(module) if submodules else ():
            self._add("import", node.lineno, unit, len(dots_of(node)), name, ",".join(submodules), "handled")

    def _note_computed(self, node: Any, unit: str, pattern: str, handled: bool) -> None:
        self._computes = True
        self._add("computed", node.lineno, unit, pattern, _word(handled))

    def _note_text(self, node: Any, mode: str, unit: str, inside: bool, handled: bool) -> None:
        """A literal that is compiled: `exec("from a import b")`."""
        for text in [text for argument in node.args[:1] for text in texts_in(argument)]:
            try:
                tree = compile(text, "", mode, _ONLY_AST)
            except Exception:
                continue  # what it raises when it runs
            for one in nodes_in(tree):
                if hasattr(one, "lineno"):
                    one.lineno = node.lineno
            self._inner_texts.append((tree, unit, "", inside, handled))

    def _note_codecs(self, node: Any, called: str, unit: str) -> None:
        function = node.func
        owner = getattr(getattr(function, "value", None), "id", "")
        module = self._modules.get(owner) or (self._others.get(called, "") if not owner else "")
        position = (_OF_CODECS if module == "codecs" else {}).get(called, _CODECS.get(called))
        found = [keyword.value for keyword in node.keywords if keyword.arg == "encoding"]
        if position is not None and len(node.args) > position:
            if owner in self._others:
                self._encodes = True  # `idna.encode(text)` names no codec, `data.decode("cp1252")` does
            elif owner not in self._modules or module == "codecs":
                found.append(node.args[position])
        self._encodes = self._encodes or any(type(one).__name__ != "Constant" for one in found)
        for text in [text for value in found for text in texts_in(value)]:
            if text and text.isprintable():
                self._add("codec", node.lineno, unit, text)


def _is_codec(text: str) -> bool:
    return "_".join(text.lower().replace("-", "_").split()) in _CODEC_NAMES


def _word(handled: bool) -> str:
    return "handled" if handled else ""


def _shape(body: list[Any]) -> Iterator[str]:
    """The statements of a block: what they mention, and where a PAUSE is."""
    for statement in body:
        holders = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
        fields = [getattr(one, name, None) for one in holders for name in ("body", "orelse", "finalbody")]
        blocks = [field for field in fields if type(field) is list and field]
        for block in blocks:
            yield "["
            yield from _shape(block)
        if not blocks:
            mentioned = [one for one in nodes_in(statement) if name_of(one)]
            line = next((one.lineno for one in mentioned if name_of(one) == "PAUSE"), 0)
            yield f"{line}:{','.join(sorted({name_of(one) for one in mentioned}))}"
    yield "]"
