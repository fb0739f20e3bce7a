"""`pwasm doctor`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pwasm_compiler.console import complete_files, say, say_document, styled
from pwasm_compiler.doctor import Check, Scope, checks

_COLOURS = {"ok": "green", "warning": "yellow", "broken": "red"}


@click.command(short_help="Check the environment and suggest fixes.")
@click.option(
    "--registry", "registries", multiple=True, metavar="HOST", help="Also check this registry; may be repeated."
)
@click.option("--cluster", is_flag=True, help="Treat a missing kubectl, cluster or resource kind as broken.")
@click.option("--context", metavar="NAME", help="The kubeconfig context to check.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), metavar="FILE", help="The kubeconfig to use.")
@click.option("--kubectl", metavar="PROGRAM", shell_complete=complete_files, help="The kubectl to use.")
@click.option("--envoy", metavar="PROGRAM", shell_complete=complete_files, help="The Envoy to check.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def doctor(as_json: bool, **options: Any) -> int:
    """Check this machine for everything pwasm needs, and suggest how to fix what is missing.

    Python, the build-time Python (which comes with pwasm) and an Envoy are always required; a registry if it is named
    with --registry; kubectl and a cluster with Istio, Envoy Gateway or Higress if --cluster, --context or --kubeconfig
    is given. Of these products, the versions are read from the images of their deployments, if you may list those; what
    depends on the version is said, with the --for of pwasm manifest.

    The exit code is 1 if something required is broken. No credentials are sent to a registry.
    """
    found = []
    for check in checks(Scope(**options)):
        found.append(check)
        if not as_json:
            _show(check)
    broken = [check for check in found if check.state == "broken"]
    if as_json:
        say_document({"ok": not broken, "checks": [_to_json(check) for check in found]})
    else:
        say(f"{len(broken)} broken" if broken else "everything required is in place")
    return 1 if broken else 0


def _show(check: Check) -> None:
    say(styled(f"{check.state:8}", fg=_COLOURS.get(check.state)), f" {check.name}: {check.detail}")
    if check.hint and check.state != "ok":
        say(f"{'':8} ", styled("hint:", fg="cyan"), f" {check.hint}")


def _to_json(check: Check) -> dict[str, str]:
    return {"name": check.name, "state": check.state, "detail": check.detail, "hint": check.hint}
