"""`pwasm deploy`"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.manifest import for_option, read_resources
from pwasm_compiler.commands.watched_proxies import Answer, Watch, answers, watch
from pwasm_compiler.console import complete_files, say, say_document, styled, warn
from pwasm_compiler.files import printable
from pwasm_compiler.kube.deploy import gateway_address, wait
from pwasm_compiler.kube.kind import Document
from pwasm_compiler.kube.kubectl import ClusterError, Kubectl, find_kubectl
from pwasm_compiler.kube.refusals import explained
from pwasm_compiler.kube.releases import chosen
from pwasm_compiler.kube.resources import cautions
from pwasm_compiler.progress import Progress
from pwasm_compiler.yaml_text import dump, dump_all

_NOT_ASKED = "not asked whether they took it; add --proxies, or see: pwasm status"
_STATES = {
    "taken": "took it",
    "received": "received it",
    "refused": "refused it",
    "not yet": "has not taken it yet",
    "not asked": "could not be asked",
}
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(short_help="Apply a resource to a cluster and wait until it is accepted.")
@click.argument("file", shell_complete=complete_files)
@for_option
@click.option("--dry-run", is_flag=True, help="Show what would change without changing anything.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=60.0,
    metavar="SECONDS",
    help="How long to wait for the status, and for the proxies (default 60 each).",
)
@click.option("--proxies", is_flag=True, help="Also ask the proxies whether they took the filter (see below).")
@click.option("--force-conflicts", is_flag=True, help="Take over fields owned by another field manager.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace for a resource that does not specify one.")
@click.option("--context", metavar="NAME", help="The kubeconfig context to use.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="The kubeconfig to use.")
@click.option("--kubectl", "program", metavar="PROGRAM", shell_complete=complete_files, help="The kubectl to use.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON document.")
def deploy(
    file: str,
    for_: Sequence[str],
    dry_run: bool,
    timeout: float,
    force_conflicts: bool,
    proxies: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Apply the resource in FILE (- is standard input) to a cluster and wait until it is accepted.

    \b
      pwasm manifest --image … | pwasm deploy -

    The resource is validated as by pwasm manifest. Then kubectl shows the diff and applies it (server-side, with the
    field manager pwasm). Envoy Gateway reports Accepted in the status, which pwasm waits for, with what else it says of
    each target. Istio (since 1.23) and Higress write no status: the resource is applied, and nothing more is known.

    --proxies asks up to three of the running proxies that the resource selects, through kubectl port-forward to their
    admin interface, before and after: whether the filter arrived, and whether Envoy refused it, if it keeps count. That
    needs the permissions to list pods and to create pods/portforward; without them, pwasm says so and does the rest.

    The address of the gateway is printed if there is one.
    """
    releases = chosen(for_)
    documents = read_resources(file, releases)
    program = options.pop("program")
    kubectl = Kubectl(find_kubectl(program), **options)
    outcomes = []
    for document in documents:
        for caution in cautions(document, releases):
            warn(caution)
        if not document["metadata"].get("namespace") and (options["namespace"] or proxies):
            document["metadata"]["namespace"] = options["namespace"] or kubectl.context_namespace()
    with explained(documents):
        diffs = [kubectl.diff(dump(document)) for document in documents]
    _show_diff("".join(diffs))
    if not dry_run:
        with ExitStack() as stack:
            watched = [stack.enter_context(watch(kubectl, item)) if proxies else None for item in documents]
            with explained(documents):
                applied = kubectl.apply(dump_all(documents), force=force_conflicts)
            say(applied, err=True)
            outcomes = [
                _wait(kubectl, document, timeout, asked, changed=bool(diff))
                for document, asked, diff in zip(documents, watched, diffs, strict=True)
            ]
    if as_json:
        say_document({"changed": any(diffs), "applied": not dry_run, "resources": outcomes})
    else:
        for outcome in outcomes:
            _show(outcome)
    sys.stdout.flush()
    _refuse_refusals(outcomes)


def _wait(
    kubectl: Kubectl, document: Document, seconds: float, asked: Watch | None, *, changed: bool
) -> dict[str, Any]:
    kind, name = document["kind"], document["metadata"]["name"]
    told: list[Answer] = []
    with Progress() as progress:
        progress(f"waiting up to {seconds:g} s for the status of {kind} {name}")
        outcome = wait(kubectl, document, seconds)
        if asked is not None and not asked.trouble:
            progress(f"asking {len(asked.ports)} proxies for up to {seconds:g} s")
            told = answers(asked, changed=changed, seconds=seconds)
    selected = 0 if asked is None else asked.selected
    all_took_it = 0 < selected == len(told) and all(answer.state == "taken" for answer in told)
    return {
        "kind": kind,
        "name": name,
        "in_force": outcome.in_force if not all_took_it or outcome.details else True,
        "note": outcome.note,
        "conditions": list(outcome.details),
        "proxies": [dataclasses.asdict(answer) for answer in told],
        "proxies_selected": selected,
        "proxies_not_asked": asked.trouble if asked is not None else _NOT_ASKED,
        "gateway": gateway_address(kubectl, document),
    }


def _show(outcome: dict[str, Any]) -> None:
    say(f"{outcome['kind']}/{outcome['name']}: {outcome['note']}")
    for condition in outcome["conditions"]:
        say(f"  {printable(condition)}")
    for answer in outcome["proxies"]:
        detail = f": {printable(answer['detail'])}" if answer["detail"] else ""
        say(f"  proxy {answer['pod']}: {_STATES[answer['state']]}{detail}")
    if outcome["proxies_selected"] > len(outcome["proxies"]):
        say(f"  {outcome['proxies_selected']} proxies are selected; the others were not asked")
    if outcome["proxies_not_asked"] and outcome["in_force"] is not True:
        say(f"  proxies: {printable(outcome['proxies_not_asked'])}")
    if outcome["gateway"]:
        say(f"gateway: {outcome['gateway']}")


def _refuse_refusals(outcomes: list[dict[str, Any]]) -> None:
    for outcome in outcomes:
        for answer in outcome["proxies"]:
            if answer["state"] == "refused":
                raise ClusterError(
                    f"the proxy in {answer['pod']} refused {outcome['kind']} {outcome['name']}",
                    why=answer["detail"],
                    hint="the proxy keeps what it had before; fix the resource or the filter, and deploy again",
                )


def _show_diff(diff: str) -> None:
    if not diff:
        say("no changes", err=True)
    for line in diff.splitlines():
        say(styled(line, fg=_COLOURS.get(line[:1])), err=True)
