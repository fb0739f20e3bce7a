"""What `pwasm dev` adds to `pwasm run`: build after each edit, and reload the result in the running Envoy.

    prepare    Request → Session    the configuration with the filter in a separate file, at version 1
    Session.watch                   until `stop`: edit, build, reload (or report an error)

Envoy's main thread compiles the new module while its workers keep serving the old one; connections stay open. A version
that cannot be built or loaded never replaces the one that is serving.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm_compiler.envoy import ecds, run
from pwasm_compiler.errors import ProjectError, PwasmError, ToolError, report_a_bug
from pwasm_compiler.files import shown
from pwasm_compiler.project import Project, load_project, source_files
from pwasm_compiler.yaml_text import in_file

if TYPE_CHECKING:
    from pwasm_compiler.envoy.process import Envoy

_POLL_SECONDS = 0.1
_SETTLED_SECONDS = 0.05
"""Editors may write several files, or one file in several steps."""
_NOTICED_SECONDS = 60
"""A modification time older than this is not the time of the edit."""
_LOAD_SECONDS = 300
_NODE = ("--service-node", "pwasm-dev", "--service-cluster", "pwasm-dev")
_REJECTED = re.compile(r"config update rejected: (?P<why>.*)", re.DOTALL)


Failed = Callable[[PwasmError], None]


@dataclass(frozen=True)
class Live:
    """A new version is serving; times in seconds, `after_seconds` since the edit was saved."""

    version: int
    build_seconds: float
    load_seconds: float
    after_seconds: float


@dataclass
class Session:
    """One run of `pwasm dev`."""

    path: Path
    plan: run.Plan
    module: Path
    slots: tuple[ecds.Slot, ...]
    build: Callable[[Project], object]
    folder: Path
    version: int = 1
    good: bool = True
    """Whether any version is serving: the first may have been rejected."""
    stop: threading.Event = field(default_factory=threading.Event)
    _seen: object = None

    def watch(self, envoy: Envoy, changed: Callable[[], None], live: Callable[[Live], None], failed: Failed) -> None:
        """Follow the edits until `stop`; callbacks run in this thread."""
        with contextlib.suppress(ToolError):  # stopped
            if self._updates(envoy)[1]:
                self.good = False
                failed(self._refused(envoy, "Envoy rejected the filter"))
        while not self.stop.wait(_POLL_SECONDS):
            now = fingerprint(self.path)
            if now == self._seen:
                continue
            while not self.stop.wait(_SETTLED_SECONDS) and (later := fingerprint(self.path)) != now:
                now = later
            before, self._seen = self._seen, now
            if self.stop.is_set():
                return
            if not self.path.exists():
                failed(_gone(self.path))
                continue
            changed()
            try:
                found = self._change_over(envoy, saved_seconds_ago(before, now))
                self.good = True
                live(found)
            except PwasmError as error:
                if not self.stop.is_set():
                    failed(error)
            except OSError as error:
                failed(ToolError(f"{error.filename or self.path}: {error.strerror or error}"))
            except Exception as error:  # the thread must survive: the next edit may fix what this one broke
                what = f"pwasm failed: {type(error).__name__}: {error}"
                failed(ToolError(what, why=report_a_bug()))

    def _change_over(self, envoy: Envoy, waited: float) -> Live:
        start = time.monotonic()
        if self.path.suffix != ".wasm":
            project = load_project(self.path)
            self.build(project)
            self.module = project.output
        built = time.monotonic()
        if self.plan.again is not None:  # update the restriction to match the new module
            self.slots = ecds.discover(_text(self.plan.again()), self.module, self.plan.root, self.folder)[1]
        before = self._updates(envoy)
        self.version += 1
        ecds.publish(self.slots, self.version, self.module)
        self._wait(envoy, before)
        end = time.monotonic()
        return Live(self.version, built - start, end - built, waited + end - start)

    def _wait(self, envoy: Envoy, before: tuple[int, int]) -> None:
        """Wait until Envoy has accepted or rejected each slot's new version. It does not respond while it compiles."""
        deadline = time.monotonic() + _LOAD_SECONDS
        while not self.stop.wait(_SETTLED_SECONDS):
            taken, refused = self._updates(envoy)
            if refused > before[1]:
                raise self._refused(envoy, "Envoy rejected the new version")
            if taken >= before[0] + len(self.slots):
                return
            if time.monotonic() > deadline:
                raise ToolError(f"Envoy did not load the new version within {_LOAD_SECONDS} s")
        raise ToolError("stopped")

    def _refused(self, envoy: Envoy, what: str) -> PwasmError:
        return run.refusal(envoy.log, self.plan.configuration_hint) or ToolError(what, why=_reason(envoy))

    def _updates(self, envoy: Envoy) -> tuple[int, int]:
        """How often Envoy accepted and rejected a version; retried until it responds."""
        from pwasm_compiler.envoy.process import EnvoyError

        while not self.stop.is_set():
            try:
                found = envoy.stats("extension_config_discovery")
            except EnvoyError:
                self.stop.wait(_POLL_SECONDS)
                continue
            taken, refused = (
                sum(found.get(name, 0) for name in {f"{slot.statistics}{what}" for slot in self.slots})
                for what in ("update_success", "update_rejected")
            )
            return taken, refused
        raise ToolError("stopped")


def prepare(request: run.Request, build: Callable[[Project], object], folder: Path) -> Session:
    """Build if needed and write what Envoy starts with to `folder`; the same errors as `run.prepare`."""
    # Its current location: "." would follow a folder that is moved, but Envoy's configuration would not.
    request = dataclasses.replace(request, path=request.path.absolute())
    seen = fingerprint(request.path)
    plan = run.prepare(request, build)
    module = request.path.absolute() if request.path.suffix == ".wasm" else load_project(request.path).output
    if isinstance(plan.config, Path):
        name, text = plan.config, plan.config_text or plan.config.read_text(encoding="utf-8")
    else:
        name, text = Path(run.OWN_CONFIGURATION), _text(plan.config)
    with in_file(name):
        text, slots = ecds.discover(text, module, plan.root, folder)
    ecds.publish(slots, 1, module)
    plan = dataclasses.replace(plan, config=name, config_text=text, arguments=_NODE)
    return Session(request.path, plan, module, slots, build, folder, _seen=seen)


def _text(config: dict[str, Any]) -> str:
    return json.dumps(config, indent=1, ensure_ascii=False)


def fingerprint(path: Path) -> object:
    """A fingerprint of the files of the filter at `path`; for a broken filter, of its error."""
    try:
        files = [path] if path.suffix == ".wasm" else _files(load_project(path))
        return [(str(file), state.st_mtime_ns, state.st_size, state.st_ino) for file in files if (state := file.stat())]
    except (PwasmError, OSError) as error:
        return str(error)


def saved_seconds_ago(before: object, now: object) -> float:
    """How long ago the newest file that differs between two fingerprints was saved; 0 if unknown."""
    old = before if isinstance(before, list) else []
    saved = [entry[1] for entry in now if entry not in old] if isinstance(now, list) else []
    ago = time.time() - max(saved, default=0) / 1e9
    return ago if 0 < ago < _NOTICED_SECONDS else 0.0


def _gone(path: Path) -> PwasmError:
    return ProjectError(
        f"{shown(path)} no longer exists",
        why="It was moved or removed, so edits go unnoticed.",
        hint="restore it, or restart pwasm dev in its new location",
    )


def _files(project: Project) -> list[Path]:
    return [*source_files(project), *filter(None, [project.configuration])]


def _reason(envoy: Envoy) -> str:
    """The last rejection in Envoy's log; the lines before it have been shown."""
    matches = [match for record in envoy.log if (match := _REJECTED.search(record.message))]
    return f"{matches[-1]['why'].strip()}." if matches else "See its log for the reason."
