"""`pwasm config`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pwasm_compiler import held_headers
from pwasm_compiler.commands.manifest import hold_headers_option, variables
from pwasm_compiler.config_check import checked
from pwasm_compiler.console import complete_files, say, say_text, warn
from pwasm_compiler.envoy import programs
from pwasm_compiler.envoy.config import WasmFilter, bootstrap_for, ecds_document, version_of
from pwasm_compiler.envoy.module import Module, Remote, read_module, remote
from pwasm_compiler.envoy.patch import patch
from pwasm_compiler.envoy.run import DEFAULT_ADMIN_PORT, DEFAULT_PORT, parse_upstream
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import (
    check_writable,
    is_utf8,
    printable,
    read_text,
    refuse_to_overwrite,
    shown,
    write_atomically,
)
from pwasm_compiler.progress import Progress
from pwasm_compiler.project import Project, load_project
from pwasm_compiler.yaml_text import dump, in_file

_FILE = click.Path(path_type=Path)
_PORT = click.IntRange(0, 65535)
_POLICIES = ("FAIL_RELOAD", "FAIL_CLOSED", "FAIL_OPEN")
_HEADER = (
    "# Written by pwasm config. Strings are quoted because Envoy reads more plain words as numbers and booleans.\n"
)


@click.command(short_help="Write an Envoy configuration that includes a filter.")
@click.argument("path", type=_FILE, default=".")
@click.option("-c", "--config", "given", type=_FILE, metavar="FILE", help="Envoy configuration to add the filter to.")
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="FILE",
    help="Write to FILE instead of standard output; it may be the file given with -c.",
)
@click.option("--listener", multiple=True, metavar="NAME", help="Listener in -c to add the filter to; may be repeated.")
@click.option("--filename", metavar="NAME", help="Path from which Envoy opens the module (default: its absolute path).")
@click.option("--remote", metavar="URL", help="Have Envoy fetch the module from this URL instead.")
@click.option("--sha256", metavar="DIGEST", help="Digest of the module at the URL (default: the local module's).")
@click.option("--cluster", metavar="NAME", help="Cluster used to fetch the URL (default: generated from it).")
@click.option(
    "--ecds",
    type=_FILE,
    metavar="FILE",
    help="Write the filter to FILE, which Envoy watches and reloads when it is replaced.",
)
@click.option("--name", metavar="NAME", help="Plugin name in logs and statistics (default: the filter's).")
@click.option("--root-id", default="", metavar="ID", help="Which of the module's filters to use.")
@click.option(
    "--plugin-config",
    metavar="FILE",
    shell_complete=complete_files,
    help="The filter's configuration: a JSON or YAML file, or inline JSON in braces.",
)
@click.option("--schema", type=_FILE, metavar="FILE", help="JSON schema for it (default: the filter's own).")
@click.option(
    "--failure-policy",
    type=click.Choice(_POLICIES),
    metavar="POLICY",
    help="After a crash: FAIL_RELOAD (default), FAIL_CLOSED or FAIL_OPEN.",
)
@click.option(
    "--env",
    "environment",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Environment variable; without a value, taken from Envoy's environment.",
)
@hold_headers_option("if the filter buffers bodies or holds headers")
@click.option("--no-restriction", is_flag=True, help="Omit capability_restriction_config.")
@click.option("--envoy-version", metavar="X.Y", help="Target Envoy version (default: the installed one).")
@click.option("--upstream", metavar="HOST:PORT", help="Without -c: where to send traffic (default: Envoy answers).")
@click.option("--port", type=_PORT, metavar="PORT", help=f"Without -c: listener port (default {DEFAULT_PORT}).")
@click.option(
    "--admin-port",
    type=_PORT,
    metavar="PORT",
    help=f"Without -c: admin interface port (default {DEFAULT_ADMIN_PORT}).",
)
def config(**options: Any) -> None:
    """Write an Envoy configuration that includes the filter at PATH.

    \b
      pwasm config                                         a complete configuration
      pwasm config -c envoy-config.yaml -o envoy-config.yaml
      pwasm config --remote https://example.com/main.wasm
      pwasm config -c envoy-config.yaml --ecds /etc/envoy/filter.yaml

    PATH is a filter's folder with a built main.wasm, or a module. The result is written to standard output.

    With -c, the filter is inserted before that configuration's router, or before its TCP proxy. An existing entry with
    the same plugin name, or with no name and the same module file name, is replaced; settings of it that no option
    overrides, such as its configuration, are kept. Everything else stays unchanged, including comments. Without -c, a
    complete configuration on 127.0.0.1 is generated. The file of --ecds is rewritten each time.

    The filter gets failure_policy FAIL_RELOAD, so that a crash costs one VM rather than the filter, and a
    capability_restriction_config that lists exactly what its module uses: run this again after a build that uses more.
    The fields match the installed Envoy: 1.40 moved the restriction, and failure_policy did not exist before 1.33.
    With --remote, a fetch that fails is tried ten times more, for about a minute and a half; Envoy's own is once more.

    A filter that buffers bodies, or holds headers until the body has been checked, gets
    allow_on_headers_stop_iteration with the variable PWASM_HOLD_HEADERS, which must not be set without each other.
    What -c says about that option is kept, unless --hold-headers or --no-hold-headers overrides it. Without it, and in
    Envoys before 1.35, held bodies are kept in the module's own memory, after the headers have gone.
    """
    ecds_file, output = options["ecds"], options["output"]
    project, module = _module(options["path"])
    plugin = _plugin(options, project, module)
    _refuse_to_overwrite(options, module.path)
    if ecds_file is not None:
        _check_ecds(ecds_file, plugin)
    text, plugin = _text(options, plugin, module.path.name)
    for file in (ecds_file, output):
        if file is not None:
            check_writable(file)
    if ecds_file is not None:
        write_atomically(ecds_file, (_HEADER + dump(ecds_document(plugin))).encode())
        say(f"wrote {ecds_file}", err=True)
    if output is None:
        say_text(text)
    else:
        write_atomically(output, text.encode())
        say(f"wrote {output}", err=True)


def _refuse_to_overwrite(options: dict[str, Any], module: Path) -> None:
    """Refuse to write a file that is also an input; only -c may be overwritten, with -o."""
    plugin_config = options["plugin_config"]
    read = {
        "the module": module,
        "--plugin-config": None if plugin_config is None else Path(plugin_config),
        "--schema": options["schema"],
    }
    more = {"ecds": {"-c": options["given"], "-o": options["output"]}, "output": {}}
    for option, others in more.items():
        if options[option] is not None:
            refuse_to_overwrite(f"--{option}", options[option], read | others)


def _plugin(options: dict[str, Any], project: Project | None, module: Module) -> WasmFilter:
    configuration = None
    if options["plugin_config"] is not None:
        with Progress() as progress:
            configuration = checked(options["plugin_config"], options["schema"], project, options["root_id"], progress)
    environment = variables(options["environment"])
    envoy, need = _version(options["envoy_version"]), module.need(options["root_id"])
    if said := held_headers.caution(need, chosen=options["hold_headers"], envoy=envoy):
        warn(said)
    return WasmFilter(
        _code(options, module),
        module.kind,
        options["name"] or (project.name if project else printable(module.path.stem)),
        root_id=options["root_id"],
        configuration=configuration,
        failure_policy=options["failure_policy"],
        environment={name: value for name, value in environment.items() if value is not None},
        host_environment=[name for name, value in environment.items() if value is None],
        capabilities=() if options["no_restriction"] else module.capabilities,
        need=need,
        hold_headers=options["hold_headers"],
        envoy=envoy,
    )


def _module(path: Path) -> tuple[Project | None, Module]:
    if path.suffix == ".wasm":
        return None, read_module(path)
    project = load_project(path)
    return project, read_module(project.output)


def _code(options: dict[str, Any], module: Module) -> str | Remote:
    if options["remote"] is not None:
        if options["filename"] is not None:
            raise UsageError("--filename and --remote are mutually exclusive")
        from pwasm_compiler.digests import sha256_of

        digest = module.sha256 if options["sha256"] is None else sha256_of(options["sha256"])
        return remote(options["remote"], digest, options["cluster"])
    for option in ("sha256", "cluster"):
        if options[option] is not None:
            raise UsageError(f"--{option} requires --remote")
    name = options["filename"] or str(module.path.absolute())
    if not is_utf8(name):
        raise UsageError(f"Envoy requires UTF-8 file names: {shown(name)}", hint="rename the module")
    return name


def _check_ecds(file: Path, plugin: WasmFilter) -> None:
    if plugin.kind not in ("http", "tcp"):
        raise UsageError("this filter handles no traffic, and ECDS only supports listener filters")
    if file.suffix not in (".yaml", ".yml", ".json"):
        raise UsageError(f"Envoy cannot tell the format of {file}", hint="use a file name that ends in .yaml")


def _text(options: dict[str, Any], plugin: WasmFilter, module: str) -> tuple[str, WasmFilter]:
    """The configuration, and the filter including what it keeps of the entry it replaces."""
    given: Path | None = options["given"]
    ecds_file = None if options["ecds"] is None else options["ecds"].absolute()
    if given is not None:
        return _patched(given, options, plugin, module, ecds_file)
    if options["listener"]:
        raise UsageError("--listener requires -c")
    config = bootstrap_for(
        plugin,
        port=DEFAULT_PORT if options["port"] is None else options["port"],
        admin_port=DEFAULT_ADMIN_PORT if options["admin_port"] is None else options["admin_port"],
        upstream=parse_upstream(options["upstream"]) if options["upstream"] else None,
        ecds_file=ecds_file,
    )
    return _HEADER + dump(config), plugin


def _patched(
    file: Path, options: dict[str, Any], plugin: WasmFilter, module: str, ecds_file: Path | None
) -> tuple[str, WasmFilter]:
    for option in ("upstream", "port", "admin_port"):
        if options[option] is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} and -c are mutually exclusive", hint="change it in the file"
            )
    with in_file(file):
        return patch(read_text(file), plugin, module, ecds_file, options["listener"])


def _version(text: str | None) -> tuple[int, int]:
    """The requested version, else that of the Envoy that pwasm run would start, else the newest known one."""
    if text is None:
        found = programs.envoy()
        return version_of(found.version if found else "")
    numbers = text.split(".")
    if not 2 <= len(numbers) <= 3 or not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(f"invalid Envoy version '{text}'", hint="write it like 1.33")
    return version_of(text)
