"""`pwasm pull`"""

from __future__ import annotations

from pathlib import Path

import click

from pwasm_compiler.commands.package import write_image
from pwasm_compiler.commands.push import connect, registry_options
from pwasm_compiler.console import say, say_document, transfer
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import check_writable, shown, write_atomically
from pwasm_compiler.oci.manifest import checked
from pwasm_compiler.oci.reference import Reference, parse_reference
from pwasm_compiler.oci.unpack import extract, module_layer


@click.command(short_help="Pull a module from a registry.")
@click.argument("reference", metavar="REF")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE.wasm|DIR|FILE.tar", help="Where to write it."
)
@registry_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def pull(reference: str, output: Path | None, as_json: bool, plain_http: bool, ca_file: Path | None) -> None:
    """Pull the module of the image REF from a registry.

    REF is registry/name:tag, or registry/name@sha256:… for exactly that image. Any image that the meshes accept works,
    whoever built it; digests are verified, and at most 256 MiB are unpacked.

    The module is written to FILE.wasm (default: the image's name, in the current folder). Any other output is the whole
    image, as `pwasm package` writes it: the folder DIR, or FILE.tar. For logging in, see `pwasm push`.
    """
    source = parse_reference(reference)
    target = output or _default(source)
    registry = connect(source, plain_http, ca_file)
    manifest = registry.manifest()
    layer = module_layer(manifest)
    with transfer(f"pulling {source}", sum(part.size for part in manifest.layers)) as received:
        if target.suffix == ".wasm":
            check_writable(target)
            module = extract(layer, checked(registry.blob(layer, received), layer))
            _keep_existing(target, module, asked_for=output is not None)
            write_atomically(target, module)
        else:
            image = registry.pull(received, manifest=manifest)
            extract(layer, image.blob(layer))
            write_image(image, source, target)
    if as_json:
        found = {"path": str(target), "digest": manifest.digest, "pinned": source.pinned(manifest.digest)}
        say_document(found)
    else:
        say(f"{shown(target)}: {source.pinned(manifest.digest)}")


def _default(source: Reference) -> Path:
    return Path(f"{source.repository.rpartition('/')[2]}.wasm")


def _keep_existing(target: Path, module: bytes, *, asked_for: bool) -> None:
    if not asked_for and target.is_file() and target.read_bytes() != module:
        raise UsageError(f"{target} already exists and is a different module", hint=f"to replace it: -o {target}")
