"""`pwasm inspect`"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.push import connect, registry_options
from pwasm_compiler.console import complete_files, say, say_document
from pwasm_compiler.errors import ImageError, UsageError
from pwasm_compiler.files import check_readable, shown
from pwasm_compiler.inspect import describe, render, report
from pwasm_compiler.oci import layout
from pwasm_compiler.oci.image_report import InspectedImage, image_report, inspect_image, render_image
from pwasm_compiler.oci.manifest import BLOB_LIMIT, Image
from pwasm_compiler.oci.mesh_rules import MESHES, Verdict, judge
from pwasm_compiler.oci.reference import names_a_registry, parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.unpack import module_layer


@click.command(short_help="Show the contents of a Wasm module or image.")
@click.argument("file", metavar="FILE|DIR|REF", shell_complete=complete_files)
@click.option(
    "--as",
    "mesh",
    type=click.Choice(list(MESHES)),
    metavar="MESH",
    help=f"Check whether this mesh would accept it: {', '.join(MESHES)}. Exit code 1 if not.",
)
@registry_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def inspect(file: str, mesh: str | None, plain_http: bool, ca_file: Path | None, as_json: bool) -> int:
    """Show the contents of a Wasm module: size, sections, callbacks, host functions.

    FILE is a core Wasm module, such as main.wasm, or an image: a .tar, the folder DIR, or REF, an image in a registry
    (registry/name:tag). For an image, its digest, layers and annotations are shown as well.

    The exit code is 1 if Envoy would reject the module; the report says why.
    """
    found, module = _look(file, plain_http, ca_file)
    document = dict(module or {})
    parts = [render(module)] if module else []
    if found is not None:
        image = image_report(found)
        document = {"image": image, "module": module}
        parts.insert(0, render_image(image))
    verdict = _judge(mesh, found, module) if mesh else None
    if verdict is not None:
        document["mesh"] = {**dataclasses.asdict(verdict), "accepted": verdict.accepted}
        parts.append(_render_verdict(verdict))
    if as_json:
        say_document(document)
    else:
        say("\n".join(parts))
    refused = module is not None and not module["accepted"]
    return int(refused or (verdict is not None and not verdict.accepted))


def _look(file: str, plain_http: bool, ca_file: Path | None) -> tuple[InspectedImage | None, dict[str, Any] | None]:
    path = Path(file)
    if not path.exists():
        if not names_a_registry(file):
            check_readable(path, hint="create one with: pwasm build")
        found = _remote(connect(parse_reference(file), plain_http, ca_file))
    elif path.suffix == ".tar" or (path.is_dir() and layout.is_layout(path)):
        found = inspect_image(file, layout.read_layout(path))
    elif path.is_dir():
        what = f"{shown(path)} is a folder, but not an OCI image layout"
        raise UsageError(what, hint="name a file, such as main.wasm")
    else:
        return None, report(path)
    return found, _module(found)


def _module(found: InspectedImage) -> dict[str, Any] | None:
    if found.module is None:
        return None
    return describe(f"plugin.wasm in {found.where}", found.module)


def _remote(registry: Registry) -> InspectedImage:
    """Fetch what the meshes would: from a list, the image for linux/amd64; from an image, the layer with the module."""
    manifest, index = registry.manifest(), None
    if manifest.is_index and (child := manifest.linux_amd64()):
        manifest, index = registry.manifest(child.digest), manifest
    try:
        layers = [module_layer(manifest)]
    except ImageError:
        layers = []  # `inspect_image` reports what is wrong with it
    blobs = {layer.digest: registry.blob(layer) for layer in layers}
    return inspect_image(
        str(registry.reference), Image(manifest, blobs), index=index, challenges=tuple(registry.challenges())
    )


def _judge(mesh: str, found: InspectedImage | None, module: dict[str, Any] | None) -> Verdict:
    problems = list(found.problems) if found else []
    if module is not None:
        problems += [f"Envoy rejects the module: {problem['message']}" for problem in module["problems"]]
        if module["size"] > BLOB_LIMIT:
            problems.append(f"the module is larger than {BLOB_LIMIT >> 20} MiB")
    if found is None:
        return judge(mesh, problems)
    return judge(mesh, problems, index=found.index, challenges=found.challenges)


def _render_verdict(verdict: Verdict) -> str:
    lines = [f"{verdict.mesh} would {'accept' if verdict.accepted else 'reject'} it"]
    return "\n".join([*lines, *(f"  - {text}" for text in (*verdict.problems, *verdict.notes))])
