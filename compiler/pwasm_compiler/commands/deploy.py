"""`pwasm deploy`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.manifest import read_resources
from pwasm_compiler.console import complete_files, say, say_document, styled, warn
from pwasm_compiler.kube.deploy import gateway_address, wait
from pwasm_compiler.kube.kind import Document
from pwasm_compiler.kube.kubectl import Kubectl, find_kubectl
from pwasm_compiler.kube.resources import cautions
from pwasm_compiler.progress import Progress
from pwasm_compiler.yaml_text import dump_all

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(short_help="Apply a resource to a cluster and wait until it takes effect.")
@click.argument("file", shell_complete=complete_files)
@click.option("--dry-run", is_flag=True, help="Show what would change without changing anything.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=60.0,
    metavar="SECONDS",
    help="How long to wait for the status (default 60).",
)
@click.option("--force-conflicts", is_flag=True, help="Take over fields owned by another field manager.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace for a resource that does not specify one.")
@click.option("--context", metavar="NAME", help="The kubeconfig context to use.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="The kubeconfig to use.")
@click.option("--kubectl", "program", metavar="PROGRAM", shell_complete=complete_files, help="The kubectl to use.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON document.")
def deploy(file: str, dry_run: bool, timeout: float, force_conflicts: bool, as_json: bool, **options: Any) -> None:
    """Apply the resource in FILE (- is standard input) to a cluster and wait until it takes effect.

    \b
      pwasm manifest --image … | pwasm deploy -

    The resource is validated as by pwasm manifest. Then kubectl shows the diff and applies it (server-side, with the
    field manager pwasm), and pwasm polls the status until the mesh reports that the resource is in effect: Accepted for
    Envoy Gateway, Reconciled for an Istio that writes status. The address of the gateway is printed if there is one.
    """
    documents = read_resources(file)
    program = options.pop("program")
    kubectl = Kubectl(find_kubectl(program), **options)
    outcomes = []
    for document in documents:
        for caution in cautions(document):
            warn(caution)
        if options["namespace"] and not document["metadata"].get("namespace"):
            document["metadata"]["namespace"] = options["namespace"]
    text = dump_all(documents)
    diff = kubectl.diff(text)
    _show_diff(diff)
    if not dry_run:
        say(kubectl.apply(text, force=force_conflicts), err=True)
        outcomes = [_wait(kubectl, document, timeout) for document in documents]
    if as_json:
        say_document({"changed": bool(diff), "applied": not dry_run, "resources": outcomes})
    else:
        for outcome in outcomes:
            say(f"{outcome['kind']}/{outcome['name']}: {outcome['note']}")
            if outcome["gateway"]:
                say(f"gateway: {outcome['gateway']}")
    sys.stdout.flush()


def _wait(kubectl: Kubectl, document: Document, seconds: float) -> dict[str, Any]:
    kind, name = document["kind"], document["metadata"]["name"]
    with Progress() as progress:
        progress(f"waiting up to {seconds:g} s for the status of {kind} {name}")
        outcome = wait(kubectl, document, seconds)
    address = gateway_address(kubectl, document)
    return {"kind": kind, "name": name, "in_force": outcome.in_force, "note": outcome.note, "gateway": address}


def _show_diff(diff: str) -> None:
    if not diff:
        say("no changes", err=True)
    for line in diff.splitlines():
        say(styled(line, fg=_COLOURS.get(line[:1])), err=True)
