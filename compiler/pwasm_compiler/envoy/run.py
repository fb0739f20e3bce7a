"""What `pwasm run` does: decide how to start Envoy, start it, and forward its log until it ends.

    prepare  Request → Plan     folder, configuration and Envoy; no process is started
    serve    Plan → …           Envoy runs until Ctrl-C, SIGTERM or until it exits

Envoy's working directory is the filter's folder, so `filename: main.wasm` in a configuration refers to the filter.
"""

from __future__ import annotations

import contextlib
import errno
import json
import queue
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm_compiler import held_headers, plugin_config
from pwasm_compiler.envoy import programs
from pwasm_compiler.envoy.config import WasmFilter, bootstrap_for, version_of
from pwasm_compiler.envoy.kinds import Kind
from pwasm_compiler.envoy.module import Module, read_module
from pwasm_compiler.envoy.ports import port_fields, with_ports
from pwasm_compiler.errors import BinaryError, ProjectError, PwasmError, ToolError, UsageError
from pwasm_compiler.files import check_readable, printable, read_text, scratch_folder, shown
from pwasm_compiler.project import ENTRY, Project, is_stale, load_project
from pwasm_compiler.yaml_text import in_file

if TYPE_CHECKING:
    from pwasm_compiler.envoy.log import LogRecord
    from pwasm_compiler.envoy.process import Envoy, EnvoyError

OWN_CONFIGURATION = "envoy.yaml"
DEFAULT_PORT = 10000
DEFAULT_ADMIN_PORT = 9901
_KEPT_RECORDS = 1000
_REFUSED = "the plugin's configuration is refused"
"""How the SDK's log record starts (`pwasm._config.binding`)."""
_DID_NOT_START = "Failed to configure base Wasm plugin"

_UPSTREAM = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")
_HINTS = (
    ("Invalid path", "Envoy cannot find that file relative to the filter's folder; create main.wasm with: pwasm build"),
    ("due to a missing import", "this Envoy lacks a function that the module needs; use a newer Envoy"),
    ("Missing or unknown Proxy-Wasm ABI version", "the file is not a Proxy-Wasm module; create one with: pwasm build"),
    ("ddress already in use", "another process uses this port; choose another port, or stop that process"),
    ("no such field", "the configuration has a field unknown to this Envoy; check its name, and Envoy's version"),
)


@dataclass(frozen=True)
class Request:
    """The user's request; a port of None is unspecified."""

    path: Path
    port: int | None = None
    admin_port: int | None = None
    concurrency: int = 1
    config: Path | None = None
    upstream: str | None = None
    plugin_config: Path | None = None
    hold_headers: bool | None = None
    envoy: str | None = None
    build: bool = True
    backend: str | None = None
    log_level: str = "info"


@dataclass(frozen=True)
class Plan:
    """How Envoy will be started; `config_text` replaces the contents of the file `config`."""

    root: Path
    executable: Path
    config: dict[str, Any] | Path
    config_text: str | None
    concurrency: int
    log_level: str
    arguments: tuple[str, ...] = ()
    """Options for Envoy in addition to those derived from the other fields."""
    again: Callable[[], dict[str, Any]] | None = None
    """Regenerates `config` if it was generated: after a build the module may use more."""
    configuration_hint: str = ""
    """A hint for when the filter rejects its configuration."""
    caution: str | None = None
    """A warning to show before Envoy starts."""


def prepare(request: Request, build: Callable[[Project], object]) -> Plan:
    """Load the filter, build it with `build` if needed, choose the configuration, check the ports."""
    executable = programs.path_of_envoy(request.envoy)
    if request.upstream is not None:
        if request.config is not None:
            raise UsageError("--upstream and -c are mutually exclusive", hint="set the upstream in the configuration")
        parse_upstream(request.upstream)
    if request.backend and (not request.build or request.path.suffix == ".wasm"):
        raise UsageError("--backend has no effect, because nothing will be built")
    if request.plugin_config is not None and request.config is not None:
        raise UsageError("--plugin-config and -c are mutually exclusive", hint="put the configuration into that file")
    if request.hold_headers is not None and request.config is not None:
        raise UsageError("--hold-headers and -c are mutually exclusive", hint="edit that file with: pwasm config -c")
    if request.path.suffix == ".wasm":
        root, module, name = *_existing_module(request.path), printable(request.path.stem)
    else:
        root, module, name = _built_module(request, build)
    config, text = _configuration(request, root, module, name)
    again = None
    found = _module_for(config, root / module)
    if isinstance(config, dict):
        again = partial(generate, module, root, name, request, found.kind)
    way = configuration_hint(request.path, request.plugin_config, config if isinstance(config, Path) else None)
    caution = _caution(found, request, config, text)
    return Plan(root, executable, config, text, request.concurrency, request.log_level, (), again, way, caution)


def _caution(found: Module, request: Request, config: dict[str, Any] | Path, text: str | None) -> str | None:
    """A warning if the filter wants its headers held, and this Envoy, or a configuration of the user's, does not."""
    need = found.need()
    if isinstance(config, dict):
        envoy = programs.envoy(request.envoy)
        return held_headers.caution(need, chosen=request.hold_headers, envoy=version_of(envoy.version if envoy else ""))
    if need is None or held_headers.OPTION in (read_text(config) if text is None else text):
        return None
    what = f"{shown(config)} does not set {held_headers.OPTION}, which pwasm config -c writes"
    return f"{what}; {held_headers.NEEDS[need]}"


def serve(plan: Plan, *, started: Callable[[Envoy], None], show: Callable[[LogRecord], None]) -> None:
    """Run Envoy until Ctrl-C or SIGTERM, the regular way to stop it; any other exit is an error."""
    from pwasm_compiler.envoy.process import Envoy, EnvoyError

    records: queue.SimpleQueue[LogRecord] = queue.SimpleQueue()
    with scratch_folder("pwasm-run-") as folder, _sigterm_like_ctrl_c():
        envoy = Envoy(
            _config_for_envoy(plan, folder),
            executable=plan.executable,
            cwd=plan.root,
            concurrency=plan.concurrency,
            wasm_log_level=plan.log_level,
            arguments=plan.arguments,
            on_log=records.put,
            keep_log=_KEPT_RECORDS,
        )
        serving = False
        try:
            envoy.start()
            serving = True
            started(envoy)
            while envoy.wait(0) is None:
                with contextlib.suppress(queue.Empty):
                    show(records.get(timeout=0.1))
            envoy.check_alive()
        except KeyboardInterrupt:
            envoy.stop()
            _drain(records, show)
        except EnvoyError as error:
            envoy.stop()
            _drain(records, lambda record: show(record) if record.from_filter and not _refuses(record) else None)
            raise refusal(error.log, plan.configuration_hint) or _explain(error, serving, plan) from error
        finally:
            envoy.stop()


def parse_upstream(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`."""
    match = _UPSTREAM.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UsageError(f"invalid upstream '{text}'", hint="write HOST:PORT, for example 127.0.0.1:8080")
    return match["host"].strip("[]"), int(match["port"])


def generate(module: Path, root: Path, name: str, request: Request, kind: Kind | None = None) -> dict[str, Any]:
    """The bootstrap for a filter that has none of its own; Envoy opens `module` from `root`.

    It restricts the filter to what its module uses. If the module does not exist, nothing is restricted, and Envoy is
    left to report that. `kind` overrides the kind of the module.
    """
    envoy, file = programs.envoy(request.envoy), root / module
    found = read_module(file) if file.is_file() else Module(file, "http", "", ())
    plugin = WasmFilter(
        module,
        kind or found.kind,
        name,
        configuration=None if request.plugin_config is None else plugin_config.read(request.plugin_config),
        need=found.need(),
        hold_headers=request.hold_headers,
        capabilities=found.capabilities,
        envoy=version_of(envoy.version if envoy else ""),
    )
    return bootstrap_for(
        plugin,
        port=DEFAULT_PORT if request.port is None else request.port,
        admin_port=DEFAULT_ADMIN_PORT if request.admin_port is None else request.admin_port,
        upstream=parse_upstream(request.upstream) if request.upstream else None,
    )


def _existing_module(path: Path) -> tuple[Path, Path]:
    check_readable(path, hint="create it with: pwasm build")
    return path.parent.resolve(), Path(path.name)


def _built_module(request: Request, build: Callable[[Project], object]) -> tuple[Path, Path, str]:
    """The folder, the module's path relative to it for Envoy, and the filter's name."""
    folder = request.path
    if not request.build and folder.is_dir() and not (folder / ENTRY).is_file():
        # --no-build: the tutorial starts Envoy before there is a filter.
        return folder.resolve(), Path("main.wasm"), printable(folder.resolve().name)
    project = load_project(request.path, request.backend)
    if request.build and is_stale(project):
        build(project)
    inside = project.output.is_relative_to(project.root)
    return project.root, project.output.relative_to(project.root) if inside else project.output, project.name


def _configuration(request: Request, root: Path, module: Path, name: str) -> tuple[dict[str, Any] | Path, str | None]:
    """Envoy's configuration file, and the text that replaces its contents; its ports are free."""
    file = request.config or _own_configuration(request, root)
    if file is None:
        made = generate(module, root, name, request)
        _refuse_used_ports(json.dumps(made))
        return made, None
    text, changed = read_text(file), None
    with in_file(file):
        if request.port is not None or request.admin_port is not None:
            changed = with_ports(text, port=request.port, admin_port=request.admin_port)
            if changed is None:
                raise UsageError(f"{shown(file)} has no port to replace", hint="omit --port and --admin-port")
        _refuse_used_ports(text if changed is None else changed)
    return file.absolute(), changed


def _own_configuration(request: Request, root: Path) -> Path | None:
    """The filter's envoy.yaml, unless it does not mention the module, or an option asks for a generated one."""
    file = root / OWN_CONFIGURATION
    generated = (request.upstream, request.plugin_config, request.hold_headers)
    if any(option is not None for option in generated) or not file.is_file():
        return None
    if request.path.suffix == ".wasm" and request.path.name not in read_text(file):
        return None
    return file


def _module_for(config: dict[str, Any] | Path, path: Path) -> Module:
    """The built module; what Envoy will refuse itself (a file that is missing, or no module) is an HTTP filter."""
    if path.is_file():
        with contextlib.suppress(*((BinaryError,) if isinstance(config, Path) else ())):
            return read_module(path)
    return Module(path, "http", "", ())


def _config_for_envoy(plan: Plan, folder: Path) -> dict[str, Any] | Path:
    if plan.config_text is None or isinstance(plan.config, dict):
        return plan.config
    # Keep the name: Envoy chooses the parser by its suffix.
    file = folder / plan.config.name
    file.write_text(plan.config_text, encoding="utf-8")
    return file


def _refuse_used_ports(config: str) -> None:
    """Check before Envoy starts. Its listeners share their ports (SO_REUSEPORT), so Envoy might not notice."""
    for field in port_fields(config):
        option = "--admin-port" if field.role == "admin" else "--port"
        with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in field.host else socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((field.host, field.port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    continue  # leave it to Envoy to report any other problem
                raise PwasmError(
                    f"port {field.port} is in use",
                    why=f"The {field.role} address {field.host}:{field.port} is used by another process.",
                    hint=f"choose another port with {option}, or stop that process",
                ) from error


def refusal(log: Sequence[LogRecord], configuration_hint: str) -> PwasmError | None:
    """The error for a filter that rejected its configuration, from the last such record in `log`; None if it did not.

    What Envoy logs afterwards, that the plugin could not be loaded, is only a consequence of this.
    """
    said = next((record.text for record in reversed(log) if _refuses(record)), None)
    if said is None:
        return None
    problems = [line.removeprefix("  | ") for line in said.splitlines()[1:]]
    return ProjectError("the filter rejected its configuration", why="\n".join(problems), hint=configuration_hint)


def configuration_hint(path: Path, given: Path | None, file: Path | None) -> str:
    """A hint for a rejected configuration: the one `given` with --plugin-config, or the one in Envoy's `file`."""
    schema = "" if path.suffix == ".wasm" else f"pwasm schema {shown(path)}"
    if given is not None:
        return f"validate it with: {schema} --check {shown(given)}" if schema else f"change {shown(given)}"
    shows = f"; see what it accepts with: {schema}" if schema else ""
    if file is not None:
        return f"edit it in {shown(file)}, or override it with --plugin-config FILE{shows}"
    return f"provide one with --plugin-config FILE{shows}"


def _refuses(record: LogRecord) -> bool:
    return record.from_filter and record.text.startswith(_REFUSED)


def _drain(records: queue.SimpleQueue[LogRecord], show: Callable[[LogRecord], None]) -> None:
    while not records.empty():
        show(records.get())


def _explain(error: EnvoyError, serving: bool, plan: Plan) -> PwasmError:
    text = "\n".join(error.last_lines(of_filters=False))
    # Protobuf varies the whitespace in its messages, so that no one depends on it.
    words = " ".join(text.split())
    hint = next((hint for message, hint in _HINTS if message in words), error.hint)
    if _DID_NOT_START in words:
        hint = f"see its log above for the reason; if it is the configuration: {plan.configuration_hint}"
    return ToolError(error.what if serving else f"Envoy did not start: {error.what}", why=text, hint=hint)


@contextlib.contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
