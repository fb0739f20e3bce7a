"""What a program can still import when it runs: a VM has no files to import from, so all of it is imported at build.

The guest imports the filter, and says which sources that has read. Their facts name the imports that functions make
later; the guest makes these now, which reads more sources, until there are no more.

Of the filter and its dependencies every function counts. The standard library has thousands of imports in functions
that no filter calls, so there a function counts only if its name is mentioned by code that counts: `parseString`
counts once any source of the filter says `minidom.parseString`. That takes some functions for others of the same name,
which costs a module that is never used, and misses what is called by a computed name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from ..cpython314 import LAZY, LIBRARY, NEVER_CALLED, NOT_FOR_A_VM
from .facts import Computed, Facts, Import
from .files import FileTree
from .staged import GUEST_ROOT

_ROOTS = (GUEST_ROOT, LIBRARY)
_SDK = f"{GUEST_ROOT}/pwasm/"
_DEPTH_OF_PROGRAM, _DEPTH_OF_LIBRARY = 4, 1
"""How many imports away a function may be that is called by its name alone."""


@dataclass(frozen=True, slots=True)
class LateImport:
    """`from module import names` in a function, or `import module`."""

    module: str
    names: tuple[str, ...] = ()
    place: str = ""
    """"file:line" in the filter or a dependency; "" in the standard library."""
    unit: str = ""
    """The function."""
    handled: bool = False
    """Whether a failure is expected."""


@dataclass(frozen=True, slots=True)
class LateCodec:
    """A codec that is named somewhere."""

    name: str
    place: str = ""


@dataclass(slots=True)
class _Source:
    """A source that the guest has read."""

    path: str
    facts: Facts
    module: str
    package: str
    of_program: bool
    by_name: dict[str, list[str]]
    """Name → the units that it may mean."""
    imports: set[str]
    """The modules that it has imported, or will."""
    reached: set[str]
    """Units that count."""


class Reach:
    """What the sources that were read so far reach."""

    def __init__(self, files: FileTree, facts_of: Callable[[str], Facts], own: Collection[str] = ()) -> None:
        self._files, self._facts_of = files, facts_of
        self._own = [_module_of(path)[0] for path in own]
        """The modules of the filter itself."""
        self._sources: dict[str, _Source] = {}
        """By the name of the module."""
        self.computed: dict[str, list[str]] = {}
        """Places in the program that import a module whose name is not known → the modules that it may be."""

    def follow(self, sources: Iterable[str], modules: frozenset[str]) -> tuple[list[LateImport], list[LateCodec]]:
        """What newly read `sources`, and what they call in the standard library, import and decode later.

        Args:
            sources: their paths.
            modules: the names of all imported modules.
        """
        imports: list[LateImport] = []
        codecs: list[LateCodec] = []
        for path in sources:
            if path.startswith(_SDK):
                continue
            source = self._add(path)
            if source.of_program:
                imports += self._of_program(source, failed=source.module not in modules)
                where = path.removeprefix(f"{GUEST_ROOT}/")
                codecs += [LateCodec(one.name, f"{where}:{one.line}") for one in source.facts.codecs]
                codecs += map(LateCodec, source.facts.spelled)
        for source, unit in self._reached():
            late = [_late(one, source.package) for one in source.facts.imports if one.unit == unit]
            imports += [one for one in late if one.module.partition(".")[0] not in NOT_FOR_A_VM]
            codecs += [LateCodec(one.name) for one in source.facts.codecs if one.unit == unit]
            for computed in source.facts.computed:
                if computed.unit == unit:
                    imports += [LateImport(one) for one in self._named(computed, source)[0]]
        return imports, codecs

    def program(self) -> dict[str, Facts]:
        """The facts of what was read of the program, by the path in the staged folder."""
        return {one.path.removeprefix(f"{GUEST_ROOT}/"): one.facts for one in self._sources.values() if one.of_program}

    def compiler_use(self) -> str:
        """The first place in the program that may compile text when it runs: "path:line", or ""."""
        places = ((one.path, one.facts.compiles) for one in self._sources.values() if one.of_program)
        return next((f"{path.removeprefix(f'{GUEST_ROOT}/')}:{lines[0]}" for path, lines in places if lines), "")

    def calls(self, unit: str) -> bool:
        """Whether the program mentions the name of a function, or of the class of a method."""
        names = {unit.rpartition(".")[2], unit.partition(".")[0]}
        program = (one for one in self._sources.values() if one.of_program)
        return any(not names.isdisjoint(mentioned) for one in program for mentioned in one.facts.units.values())

    def _add(self, path: str) -> _Source:
        facts, (module, package) = self._facts_of(path), _module_of(path)
        by_name: dict[str, list[str]] = {}
        for unit in facts.units:
            if NEVER_CALLED.fullmatch(unit) and path.startswith(f"{LIBRARY}/"):
                continue
            by_name.setdefault(_known_by(unit), []).append(unit)
        of_program = not path.startswith(f"{LIBRARY}/")
        imports = {name for one in facts.imports if of_program or not one.unit for name in _modules(one, package)}
        found = _Source(path, facts, module, package, of_program, by_name, imports, set())
        return self._sources.setdefault(module, found)

    def _of_program(self, source: _Source, failed: bool) -> Iterator[LateImport]:
        """`failed` means that something has caught an error when the source was imported."""
        where = source.path.removeprefix(f"{GUEST_ROOT}/")
        for one in source.facts.imports:
            late = _late(one, source.package, f"{where}:{one.line}", failed)
            if one.unit:
                yield late
            yield from map(LateImport, LAZY.get(late.module, ()))
        for computed in source.facts.computed:
            (found, complete), place = self._named(computed, source), f"{where}:{computed.line}"
            known = "*" not in computed.pattern
            if computed.unit and not complete and not computed.handled:
                self.computed[place] = found
            if computed.unit or not known:
                handled = computed.handled or failed or not known
                yield from (LateImport(one, (), place, computed.unit, handled) for one in found)

    def _reached(self) -> Iterator[tuple[_Source, str]]:
        """The units of the standard library that count now, and did not before."""
        pending = [(one, unit) for one in self._sources.values() if one.of_program for unit in one.facts.units]
        pending += [(one, unit) for one in self._sources.values() if not one.of_program for unit in one.reached]
        scopes: dict[str, list[_Source]] = {}
        while pending:
            source, unit = pending.pop()
            if not source.of_program and unit not in source.reached:
                source.reached.add(unit)
                yield source, unit
                late = [one for one in source.facts.imports if unit and one.unit == unit]
                source.imports.update(name for one in late for name in _modules(one, source.package))
                if late:
                    scopes.clear()
            scope = scopes.get(source.module)
            if scope is None:
                scope = scopes[source.module] = self._scope(source)
            names = source.facts.units.get(unit, frozenset())
            for other in scope:
                if not other.of_program:
                    wanted = [one for name in names & other.by_name.keys() for one in other.by_name[name]]
                    pending += [(other, one) for one in wanted if one not in other.reached]

    def _scope(self, source: _Source) -> list[_Source]:
        """The sources in which a name of `source` may be defined: those that it imports, and what these import."""
        found = {source.module: source}
        edge = [source]
        for _ in range(_DEPTH_OF_PROGRAM if source.of_program else _DEPTH_OF_LIBRARY):
            names = {name for one in edge for name in one.imports} - found.keys()
            edge = [one for name in names if (one := self._sources.get(name)) is not None]
            found |= {one.module: one for one in edge}
        return list(found.values())

    def _named(self, one: Computed, source: _Source) -> tuple[list[str], bool]:
        """The modules that a computed name may mean, and whether these are all.

        Of the filter's own modules all may be meant: which of them may come from a request. Of others those that exist,
        of the texts in the same source.
        """
        package = source.package
        pattern = one.pattern.replace("{__package__}", package).replace("{__name__}", source.module)
        pattern = package + pattern if pattern.startswith(".") else pattern
        if "*" not in pattern:
            return [pattern.partition(":")[0]], True
        start, _, end = pattern.partition("*")
        if start and (meant := [name for name in self._own if _is_between(start, name, end)]):
            return meant, True
        found = (_filled(start, text.partition(":")[0], end, package) for text in source.facts.literals)
        return list(dict.fromkeys(text for text in found if self._exists(text))), False

    def _exists(self, module: str) -> bool:
        path = module.replace(".", "/")
        return any(self._files.is_file(f"{root}/{path}{end}") for root in _ROOTS for end in (".py", "/__init__.py"))


def _modules(one: Import, package: str) -> Iterator[str]:
    """The modules that an import statement may import."""
    late = _late(one, package)
    parts = late.module.split(".")
    yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
    yield from (f"{late.module}.{name}" for name in late.names)


def _known_by(unit: str) -> str:
    """The name by which a unit is called: special methods are, by the name of their class."""
    owner, _, name = unit.rpartition(".")
    return owner if owner and name.startswith("__") else name


def _late(one: Import, package: str, place: str = "", failed: bool = False) -> LateImport:
    module = one.module
    if one.level:
        parents = package.split(".")
        module = ".".join([*parents[: len(parents) - one.level + 1], *filter(None, [module])])
    return LateImport(module, one.names, place, one.unit, one.handled or failed)


def _is_between(start: str, module: str, end: str) -> bool:
    return module.startswith(start) and module.endswith(end)  # also "v1.users" below "handlers."


def _filled(start: str, text: str, end: str, package: str) -> str:
    """A computed name with a `text` from the same source, which may be relative to `start` or to the package."""
    name = text.lstrip(".")
    if not start and text.startswith("."):
        parents = package.split(".")
        return ".".join([*parents[: len(parents) - (len(text) - len(name)) + 1], name]) + end
    return f"{start}{name if start.endswith('.') or not start else text}{end}"


def _module_of(path: str) -> tuple[str, str]:
    """The names of the module of a source, and of its package."""
    root = next(root for root in _ROOTS if path.startswith(f"{root}/"))
    *package, name = path.removeprefix(f"{root}/").removesuffix(".py").split("/")
    return ".".join(package if name == "__init__" else [*package, name]), ".".join(package)
