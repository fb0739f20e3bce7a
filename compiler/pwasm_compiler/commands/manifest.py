"""`pwasm manifest`"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from pwasm_compiler import held_headers
from pwasm_compiler.config_check import as_object, checked
from pwasm_compiler.console import complete_files, say_document, say_text, warn
from pwasm_compiler.envoy.module import Module, read_module
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.files import read_text
from pwasm_compiler.kube import resources
from pwasm_compiler.kube.istio import MODES, PRIORITIES
from pwasm_compiler.kube.kind import FAIL_STRATEGIES, Document, Placement, ResourceKind
from pwasm_compiler.kube.kinds import CHOICES, DEFAULT_KIND, KINDS, kinds_that_hold, unheld
from pwasm_compiler.kube.releases import chosen
from pwasm_compiler.oci.layout import digest_of_layout
from pwasm_compiler.oci.reference import parse_reference
from pwasm_compiler.progress import Progress
from pwasm_compiler.project import Project, load_project
from pwasm_compiler.yaml_text import dump_all, in_file, load_all

_FILE = click.Path(path_type=Path)
_TYPES = {"http": "HTTP", "tcp": "NETWORK"}
"""Traffic of a module → the type of its plugin in Istio."""
_CA_KINDS = ("Secret", "ConfigMap", "ClusterTrustBundle")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def hold_headers_option(when: str) -> Callable[[_Command], _Command]:
    """The option that decides whether the proxy holds headers; `when` is what happens without it."""
    help_text = f"Hold streams by their headers, or do not (default: {when})."
    return click.option("--hold-headers/--no-hold-headers", default=None, help=help_text)


for_option = click.option(
    "--for",
    "for_",
    multiple=True,
    metavar="PRODUCT=VERSION",
    help="Write and check for this release: istio=1.26, envoy-gateway=1.8, higress=2.1 (default: for all releases that"
    " take the resource; a warning names the oldest).",
)


@click.command(short_help="Print the Kubernetes resource that adds a filter to a mesh.")
@click.argument("path", type=_FILE, default=".")
@click.option(
    "--kind",
    type=click.Choice(CHOICES),
    metavar="KIND",
    help=f"One of: {', '.join(CHOICES)} (default {DEFAULT_KIND}).",
)
@for_option
@click.option("--image", metavar="REF", help="Location of the filter: REGISTRY/NAME:TAG, …@sha256:DIGEST, or a URL.")
@click.option("--sha256", metavar="DIGEST", help="Pin the image to the digest that pwasm push printed.")
@click.option("--layout", type=_FILE, metavar="DIR", help="Pin the image to the one that pwasm package wrote to DIR.")
@click.option("--name", metavar="NAME", help="Name of the resource (default: the filter's).")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the resource.")
@click.option(
    "-l", "--selector", multiple=True, metavar="LABEL=VALUE", help="Apply it to pods with this label; may be repeated."
)
@click.option(
    "--target",
    multiple=True,
    metavar="KIND/NAME",
    help="Apply it to this Gateway, Service, HTTPRoute …; may be repeated.",
)
@click.option(
    "--phase",
    type=click.Choice(["AUTHN", "AUTHZ", "STATS"]),
    metavar="PHASE",
    help="Before Istio's AUTHN, AUTHZ or STATS filters (default: last; see above).",
)
@click.option(
    "--priority",
    type=click.IntRange(*PRIORITIES),
    metavar="N",
    help="Order within the phase; higher comes first.",
)
@click.option(
    "--match",
    multiple=True,
    metavar="MODE[:PORT,…]",
    help="Restrict to this traffic: CLIENT, SERVER or CLIENT_AND_SERVER, and ports.",
)
@click.option(
    "--plugin-config",
    metavar="FILE",
    shell_complete=complete_files,
    help="The filter's configuration: a JSON or YAML file, or inline JSON in braces.",
)
@click.option("--schema", type=_FILE, metavar="FILE", help="JSON schema for it (default: the filter's own).")
@click.option("--root-id", metavar="ID", help="Which of the module's filters to use (pluginName, rootID).")
@click.option(
    "--fail-strategy",
    type=click.Choice(FAIL_STRATEGIES),
    metavar="STRATEGY",
    help=f"Behaviour after a crash or a failed fetch: {', '.join(FAIL_STRATEGIES)} (default for Istio from 1.27 on:"
    " FAIL_RELOAD).",
)
@click.option(
    "--env",
    "environment",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Environment variable; without a value, taken from the proxy's environment.",
)
@hold_headers_option("if the filter's classes declare it")
@click.option(
    "--listener",
    multiple=True,
    metavar="NAME",
    help="To hold headers in Envoy Gateway: a listener of the Gateway; may be repeated.",
)
@click.option("--pull-secret", metavar="NAME", help="Secret with the registry's credentials, in the same namespace.")
@click.option(
    "--pull-policy", type=click.Choice(["IfNotPresent", "Always"]), metavar="POLICY", help="IfNotPresent or Always."
)
@click.option(
    "--ca",
    metavar="KIND/NAME",
    help="For Envoy Gateway: Secret, ConfigMap or ClusterTrustBundle with the registry's own certificate authority.",
)
@click.option(
    "--type",
    "type_",
    type=click.Choice(["HTTP", "NETWORK"]),
    metavar="TYPE",
    help="HTTP, or NETWORK for a TCP filter (default: what the built module is).",
)
@click.option(
    "--check",
    "check_file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Validate and print the resources in FILE (- is standard input) instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def manifest(check_file: str | None, as_json: bool, for_: Sequence[str], **options: Any) -> None:
    """Print the Kubernetes resource that tells a mesh to load the filter at PATH from a registry.

    \b
      pwasm manifest --image REGISTRY/hello:v1 --sha256 DIGEST --selector app=httpbin
      pwasm manifest --kind EnvoyExtensionPolicy --image … --target Gateway/eg
      pwasm manifest --check plugin.yaml --for istio=1.26

    PATH is the filter's folder; the resource is named after it, and its configuration class validates --plugin-config.
    The image must already be in a registry: see pwasm push. The digest is that of an image's manifest, or for a module
    at a URL, that of the module itself. HigressWasmPlugin is Higress's WasmPlugin.

    A filter that changes headers after seeing the body needs a proxy that holds headers, which WasmPlugin,
    TrafficExtension and EnvoyExtensionPolicy cannot ask for. For such a filter, and with --hold-headers, an EnvoyFilter
    is printed in place of a WasmPlugin, and an EnvoyPatchPolicy beside an EnvoyExtensionPolicy. The built module says
    whether it needs that.

    Several filters: in Istio and Higress, each has a resource of its own. A request passes those of --phase AUTHN,
    then AUTHZ, then STATS, each before the product's own filters of that name; those without a phase come last, before
    the router. Within a phase, a higher --priority comes first, and names decide between equal ones. Envoy Gateway runs
    the filters of a policy in the order of its list (write them into one file, and --check it), after authentication
    and before RBAC and rate limits, unless its EnvoyProxy says otherwise (filterOrder). Of several policies for one
    target the oldest counts, and that of a route replaces that of its Gateway unless it has mergeType.

    Everything is validated before it is printed: unknown or misspelt fields, which a cluster would silently drop, are
    rejected. All strings are quoted, so that every YAML reader takes them as strings.

    With --check, the resources in a file are validated and printed in this form; comments are not kept.
    """
    releases = chosen(for_)
    documents = _checked(check_file, options, releases) if check_file is not None else _made(options, releases)
    for document in documents:
        for caution in resources.cautions(document, releases):
            warn(caution)
    if as_json:
        say_document(documents[0] if len(documents) == 1 else documents)
    else:
        say_text(dump_all(documents))


def _checked(file: str, options: dict[str, Any], releases: Mapping[str, str]) -> list[Document]:
    given = [name for name, value in options.items() if value not in (None, (), Path())]
    if given:
        raise UsageError(f"--check and --{given[0].replace('_', '-')} are mutually exclusive", hint="change the file")
    return read_resources(file, releases)


def read_resources(file: str, releases: Mapping[str, str]) -> list[Document]:
    """The resources in `file` (`-` is standard input), each checked; without what an API server has added."""
    try:
        text = sys.stdin.read() if file == "-" else read_text(Path(file), hint="create one with: pwasm manifest")
    except UnicodeDecodeError as error:
        raise ProjectError("standard input is not UTF-8", why=f"At byte {error.start}.") from error
    name = "standard input" if file == "-" else file
    with in_file(name):
        documents = [resources.own(item) for document in load_all(text) for item in resources.items(document)]
    if not documents:
        raise ProjectError(f"no resource in {name}", hint="create one with: pwasm manifest")
    kinds = [resources.check(document, releases) for document in documents]
    refuse_unused(releases, kinds)
    return documents


def refuse_unused(releases: Mapping[str, str], kinds: Sequence[ResourceKind]) -> None:
    """Raise `UsageError` if a product of --for has no resource."""
    for product in set(releases) - {kind.line for kind in kinds}:
        raise UsageError(
            f"--for {product}={releases[product]} has no effect",
            why=f"The resources are for {', '.join(sorted({kind.line for kind in kinds}))}.",
            hint="name the product of the resource",
        )


def _made(options: dict[str, Any], releases: Mapping[str, str]) -> list[Document]:
    if not options["image"]:
        raise UsageError(
            "--image is missing", hint="name the image that pwasm push wrote, or validate a file with --check"
        )
    if not options["image"].startswith(("http://", "https://", "file://")):
        parse_reference(options["image"])  # for a clear message rather than a mismatched pattern
    project = _project(options["path"], needed=options["name"] is None)
    if options["sha256"] and options["layout"]:
        raise UsageError("--sha256 and --layout are mutually exclusive")
    built = read_module(project.output) if project is not None and project.output.is_file() else None
    if project is not None and built is None and options["type_"] is None:
        warn(
            f"{project.name} is not built, so this does not know whether it is for HTTP or TCP; build it, or use --type"
        )
    held = _kinds_that_hold(options, built)
    names = held or [options["kind"] or DEFAULT_KIND]
    refuse_unused(releases, [KINDS[name] for name in names])
    placement = Placement(
        name=options["name"] or resources.resource_name(project.name if project else ""),
        url=options["image"],
        namespace=options["namespace"],
        selector=dict(_pair(text, "--selector", "LABEL=VALUE") for text in options["selector"]) or None,
        targets=[_target(text) for text in options["target"]],
        phase=options["phase"],
        priority=options["priority"],
        match=[_match(text) for text in options["match"]],
        plugin_config=_configuration(options, project),
        root_id=options["root_id"],
        fail_strategy=options["fail_strategy"],
        sha256=digest_of_layout(options["layout"]) if options["layout"] else options["sha256"],
        environment=variables(options["environment"]) or None,
        pull_secret=options["pull_secret"],
        pull_policy=options["pull_policy"],
        type=options["type_"],
        carries=tuple(_TYPES[kind] for kind in built.traffic) if built is not None else (),
        ca=_ca(options["ca"]),
        release=next(iter(releases.values()), None),
        hold_headers=bool(held),
        listeners=options["listener"],
    )
    return [resources.build(placement, name) for name in names]


def _kinds_that_hold(options: dict[str, Any], built: Module | None) -> list[str]:
    """The kinds to print so that headers are held; empty if they need not be, or the user does not want it."""
    hold, kind = options["hold_headers"], options["kind"]
    needed = built.need(options["root_id"] or "") if built is not None else None
    itself = KINDS[kind or DEFAULT_KIND].held_by == kind
    if hold or (hold is None and (needed == held_headers.REQUIRED or (needed and itself))):
        return kinds_that_hold(kind)
    if needed == held_headers.REQUIRED:
        warn(held_headers.caution(needed, chosen=False, envoy=held_headers.SINCE) or "")
    elif needed:
        warn(unheld(kind))
    return []


def _project(path: Path, *, needed: bool) -> Project | None:
    """The filter at `path`; optional if a name is given on the command line."""
    if not needed and not (path / "filter.py").is_file() and path == Path():
        return None
    return load_project(path)


def _configuration(options: dict[str, Any], project: Project | None) -> Any:
    if options["plugin_config"] is None:
        return None
    with Progress() as progress:
        text = checked(options["plugin_config"], options["schema"], project, options["root_id"] or "", progress)
    return as_object(text)


def variable(text: str) -> tuple[str, str | None]:
    """Name and value of `NAME=VALUE`; `NAME` alone has the value None."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"invalid variable '{text}'", hint="write --env NAME=VALUE, or --env NAME")
    return name, value if equals else None


def variables(texts: Sequence[str]) -> dict[str, str | None]:
    """The variables of --env; without the one that goes with Envoy's option."""
    found = dict(variable(text) for text in texts)
    if held_headers.VARIABLE in found:
        raise UsageError(
            f"{held_headers.VARIABLE} is written together with {held_headers.OPTION}",
            hint="use --hold-headers or --no-hold-headers",
        )
    return found


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"'{text}' is not of the form {form}", hint=f"write {option} {form}")
    return name, value


def _target(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not kind or not name or not slash:
        raise UsageError(f"invalid target '{text}'", hint="write --target KIND/NAME, for example Gateway/ingress")
    return kind, name


def _ca(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    kind, _, name = text.partition("/")
    if kind not in _CA_KINDS or not name:
        raise UsageError(f"invalid object '{text}'", hint=f"write --ca KIND/NAME, with KIND of {', '.join(_CA_KINDS)}")
    return kind, name


def _match(text: str) -> tuple[str, tuple[int, ...]]:
    mode, _, ports = text.partition(":")
    numbers = ports.split(",") if ports else []
    if mode not in MODES or not all(number.isascii() and number.isdigit() for number in numbers):
        raise UsageError(
            f"invalid match '{text}'", hint="write --match MODE or MODE:PORT,PORT, for example CLIENT:80,443"
        )
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise UsageError(f"--match {text} names port {twice} twice", hint="name each port once")
    return mode, tuple(map(int, numbers))
