"""What a source says that a build must know, read from its syntax tree before anything is removed from that.

It runs in the guest, whose Python is the one that the source is for. A fact is a line of fields, separated by tabs, of
which the first is its kind; `pwasm_compiler.guest.facts` reads them:

    import   line, unit, level, module, names with commas, "handled" or ""
    computed line, unit, pattern of an imported name, with "*" for what is not a literal; "handled" or ""
    codec    line, unit, name
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

from pwasm_conditions import known, literal  # type: ignore[import-not-found]
from pwasm_tables import COMPILES_TEXT, MODULES_THAT_COMPILE  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_FUNCTIONS = ("FunctionDef", "AsyncFunctionDef", "Lambda")
_HANDLES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_BY_NAME = {"import_module", "__import__"}
_CODECS = {
    # function that takes the name of a codec: at which position
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
    "str": 1,
}
_COMPILES = {"compile", "eval", "exec"}
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


def facts(tree: Any) -> str:
    """The facts of a module."""
    return _Walk(tree).text()


class _Walk:
    """One walk over a tree."""

    def __init__(self, tree: Any) -> None:
        self._lines: list[str] = []
        self._units: dict[str, set[str]] = {}
        self._literals: set[str] = set()
        self._imported = {"sys", "os"}
        self._computes = False
        self._resumes = False
        self._by_name = set(_BY_NAME)
        """What the functions that import by a name are called here."""
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

    def text(self) -> str:
        lines = self._lines
        lines += [f"unit\t{unit}\t{','.join(sorted(names))}" for unit, names in self._units.items()]
        if self._computes:
            lines += [f"literal\t{text}" for text in sorted(self._literals)]
        if self._resumes or not all(_RESUMES.isdisjoint(names) for names in self._units.values()):
            lines.append("resumes")
        return "\n".join(lines)

    def _visit(self, node: Any, unit: str, outer: str, inside: bool, handled: bool) -> Iterator[Any]:
        """Note a node; yields those below it with their unit and class, whether they run later, and are in a `try`."""
        kind = type(node).__name__
        if kind == "Assign" and any("__doc__" in _names(target) for target in node.targets):
            self._copied.update(map(id, _all(node.value)))
        if kind == "Assign" and _name(node.value) in _BY_NAME:
            self._by_name.update(filter(None, map(_name, node.targets)))
        note = self._notes.get(kind)
        if note is not None:
            note(node, unit, inside, handled)
        if kind == "If" and (taken := known(node.test)) is not None:
            for child in node.body if taken else node.orelse:
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
            tried = (handled and kind not in _FUNCTIONS) or (field == "body" and _handles(node, kind))
            for child in value if type(value) is list else (value,):
                if hasattr(child, "_fields"):
                    at_definition = kind in _FUNCTIONS and field != "body" and not inside
                    yield (child, unit, outer, inside, tried) if at_definition else (child, *below, tried)

    def _mention(self, name: str, unit: str) -> None:
        self._units.setdefault(unit, set()).add(name)

    def _add(self, *fields: object) -> None:
        self._lines.append("\t".join(map(str, fields)))

    # --- one kind of node each ----------------------------------------------------------------------------------------

    def _note_name(self, node: Any, unit: str, inside: bool, _handled: bool) -> None:
        self._mention(node.id, unit)
        if inside and (node.id in _COMPILES or node.id in COMPILES_TEXT):
            self._add("compiles", node.lineno)
        if node.id in ("__doc__", "getdoc") and self._reads(node):
            self._add("doc", node.lineno)

    def _note_attribute(self, node: Any, unit: str, inside: bool, _handled: bool) -> None:
        self._mention(node.attr, unit)
        owner = getattr(node.value, "id", "")
        compiles = (owner == "builtins" and node.attr in _COMPILES) or (owner, node.attr) == ("ast", "parse")
        if inside and (compiles or node.attr in COMPILES_TEXT):
            self._add("compiles", node.lineno)
        if node.attr in ("__doc__", "getdoc") and self._reads(node):
            self._add("doc", node.lineno)

    def _reads(self, node: Any) -> bool:
        return type(node.ctx).__name__ == "Load" and id(node) not in self._copied

    def _note_constant(self, node: Any, _unit: str, _inside: bool, _handled: bool) -> None:
        value = node.value
        if type(value) is str and len(value) <= _NAME and all(part.isidentifier() for part in value.split(".")):
            self._literals.add(value)
            self._resumes = self._resumes or value in _RESUMES  # getattr(pwasm, "resume_http_request")

    def _note_function(self, node: Any, _unit: str, inside: bool, _handled: bool) -> None:
        self._resumes = self._resumes or type(node).__name__ == "AsyncFunctionDef" or node.name in _RESUMES
        if inside:
            self._add("inner", node.name, ",".join(sorted(_names(node) - {""})))

    def _note_class(self, node: Any, _unit: str, _inside: bool, _handled: bool) -> None:
        functions = [one for one in node.body if type(one).__name__ in ("FunctionDef", "AsyncFunctionDef")]
        waiting = [f"{one.name}:{one.lineno}" for one in functions if type(one).__name__ == "AsyncFunctionDef"]
        bases = sorted({name for base in node.bases for name in _names(base)} - {""})
        self._add("class", node.name, ",".join(bases), ",".join(one.name for one in functions), ",".join(waiting))
        for one in functions:
            if one.name in _HEADERS and type(one).__name__ == "FunctionDef" and "PAUSE" in _names(one):
                self._add("pause", node.name, one.name, " ".join(_shape(one.body)))

    def _note_import(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        for alias in node.names:
            self._imported.add(alias.asname or alias.name)
            self._mention(alias.asname or alias.name.partition(".")[0], unit)
            self._add("import", node.lineno, unit if inside else "", 0, alias.name, "", _word(handled))
            if alias.name in MODULES_THAT_COMPILE:
                self._add("compiles", node.lineno)

    def _note_import_from(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        names = [alias.name for alias in node.names]
        module = node.module or ""
        for alias in node.names:
            self._mention(alias.name, unit)
            self._imported.add(alias.asname or alias.name)
            if alias.name in _BY_NAME:
                self._by_name.add(alias.asname or alias.name)
        self._add("import", node.lineno, unit if inside else "", node.level, module, ",".join(names), _word(handled))
        wanted = COMPILES_TEXT | (_COMPILES if module == "builtins" else {"parse"} if module == "ast" else set())
        if module in MODULES_THAT_COMPILE or any(
            alias.name in wanted and (inside or alias.asname is not None) for alias in node.names
        ):
            self._add("compiles", node.lineno)

    def _note_call(self, node: Any, unit: str, inside: bool, handled: bool) -> None:
        function = node.func
        called = str(getattr(function, "attr", None) or getattr(function, "id", ""))
        named = node.args or [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        if called in self._by_name and named:
            self._computes = True
            pattern = _absolute(_dots(node) + _pattern(named[0]), node)
            self._add("computed", node.lineno, unit if inside else "", pattern, _word(handled))
        found = [keyword.value for keyword in node.keywords if keyword.arg == "encoding"]
        position = _CODECS.get(called)
        owner = getattr(getattr(function, "value", None), "id", "")
        of_module = owner in self._imported and owner != "codecs"  # `idna.encode(text)` names no codec
        if position is not None and len(node.args) > position and not of_module:
            found.append(node.args[position])
        for text in [text for value in found for text in _texts(value)]:
            if text and text.isprintable():
                self._add("codec", node.lineno, unit if inside else "", text)


def _absolute(pattern: str, node: Any) -> str:
    """A relative name together with the package that the call gives, if that is a literal."""
    given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "package")]
    package = literal(given[0]) if given else None
    if not pattern.startswith(".") or type(package) is not str:
        return pattern
    inner = pattern.lstrip(".")
    parts = package.split(".")
    above = len(pattern) - len(inner) - 1
    return ".".join([*parts[: len(parts) - above], inner])


def _word(handled: bool) -> str:
    return "handled" if handled else ""


def _handles(node: Any, kind: str) -> bool:
    """Whether an ImportError in the body of a `try` or `with` goes no further."""
    if kind in ("Try", "TryStar"):
        catching = [one for one in node.handlers if one.type is None or not _HANDLES.isdisjoint(_names(one.type))]
        return bool(catching) and type(catching[0].body[-1]).__name__ != "Raise"
    if kind in ("With", "AsyncWith"):
        found = [_names(item.context_expr) for item in node.items]
        return any("suppress" in names and not _HANDLES.isdisjoint(names) for names in found)
    return False


def _names(node: Any) -> set[str]:
    """The names in an expression."""
    return {str(getattr(one, "attr", None) or getattr(one, "id", "")) for one in _all(node)}


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
            mentioned = [one for one in _all(statement) if _name(one)]
            line = next((one.lineno for one in mentioned if _name(one) == "PAUSE"), 0)
            yield f"{line}:{','.join(sorted({_name(one) for one in mentioned}))}"
    yield "]"


def _name(node: Any) -> str:
    """What a node mentions itself."""
    value = getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "value", "")
    return value if type(value) is str and value.isidentifier() else ""


def _all(node: Any) -> list[Any]:
    """An expression, and all that are in it."""
    found = [node]
    for one in found:
        for field in one._fields:
            value = getattr(one, field, None)
            found += [child for child in (value if type(value) is list else (value,)) if hasattr(child, "_fields")]
    return found


def _texts(node: Any) -> Iterator[str]:
    """The literals that may be the value of an expression, such as `encoding or "cp437"`."""
    if type(node).__name__ == "Constant" and type(node.value) is str:
        yield node.value
    for child in [*getattr(node, "values", ()), getattr(node, "orelse", None), getattr(node, "body", None)]:
        if hasattr(child, "_fields"):
            yield from _texts(child)


def _dots(call: Any) -> str:
    """What a relative import has before its name: `__import__` is told by a number."""
    levels = [*call.args[4:5], *(keyword.value for keyword in call.keywords if keyword.arg == "level")]
    level = getattr(levels[0], "value", 0) if levels else 0
    return "." * level if type(level) is int else ""


def _pattern(node: Any) -> str:
    """The text of an expression, with "*" for what is not a literal."""
    kind, operator = type(node).__name__, type(getattr(node, "op", None)).__name__
    found = "*"
    if kind == "Constant" and type(node.value) is str and node.value.isprintable():
        found = str(node.value)
    elif kind == "Name" and node.id in ("__name__", "__package__"):
        found = f"{{{node.id}}}"
    elif kind == "BinOp" and operator == "Add":
        found = _pattern(node.left) + _pattern(node.right)
    elif kind == "BinOp" and operator == "Mod":
        found = _pattern(node.left).replace("%s", "*").replace("%d", "*")
    elif kind == "Call" and getattr(node.func, "attr", "") == "format":
        first, *others = _pattern(node.func.value).split("{")
        found = first + "".join("*" + other.partition("}")[2] for other in others)
    elif kind == "JoinedStr":
        found = "".join(_pattern(value) for value in node.values)
    elif kind == "FormattedValue":
        found = _pattern(node.value)
    return found.replace("**", "*")
