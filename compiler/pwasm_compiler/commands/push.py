"""`pwasm push`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.package import find_module, format_option, image_of
from pwasm_compiler.console import say, say_document, transfer
from pwasm_compiler.errors import UsageError
from pwasm_compiler.oci import layout
from pwasm_compiler.oci.image import Format
from pwasm_compiler.oci.manifest import Image
from pwasm_compiler.oci.reference import Reference, parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import Transport


def registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options shared by all commands that talk to a registry."""
    command = click.option(
        "--ca-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The registry's certificate authority, if the system does not trust it (PEM).",
    )(command)
    return click.option(
        "--plain-http", is_flag=True, help="Use plain HTTP, without credentials; the default for this machine."
    )(command)


def connect(reference: Reference, plain_http: bool, ca_file: Path | None) -> Registry:
    """The registry of `reference`, configured by the options."""
    if plain_http and ca_file is not None:
        raise UsageError("--plain-http and --ca-file are mutually exclusive")
    return Registry(reference, Transport(plain_http=plain_http, ca_file=ca_file))


@click.command(short_help="Push a filter's image to a registry.")
@click.argument("reference", metavar="REF")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@format_option
@registry_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def push(reference: str, path: Path, style: Format, as_json: bool, plain_http: bool, ca_file: Path | None) -> None:
    """Push the image of the filter at PATH to a registry, as REF.

    REF is registry/name:tag; the default tag is `latest`. PATH is a folder with a filter in Python or Go, a
    single .py file, a built module (.wasm), or an image that `pwasm package` wrote; the default is the current folder.
    A filter is built first if needed.

    Everything is read back and compared. Then the image's name with its digest is printed: use that in the mesh's
    resource, because a digest always refers to the same bytes.

    Credentials are those of `docker login` and `podman login`, credential helpers included: $REGISTRY_AUTH_FILE,
    containers/auth.json, ~/.docker/config.json. They are sent only over TLS or to this machine, and only to the
    registry and the token server that it names. $HTTPS_PROXY and $NO_PROXY are honoured.
    """
    target = parse_reference(reference)
    image = _image(path, style)
    if target.digest and target.digest != image.digest:
        raise UsageError(
            f"the image is not {target.digest}", why=f"Its digest is {image.digest}.", hint="push it to a tag"
        )
    registry = connect(target, plain_http, ca_file)
    with transfer(f"pushing {target}", sum(layer.size for layer in image.manifest.layers)) as sent:
        digest = registry.push(image, sent)
    if as_json:
        found = {"reference": str(target), "digest": digest, "pinned": target.pinned(digest)}
        say_document(found)
    else:
        say(target.pinned(digest))


def _image(path: Path, style: Format) -> Image:
    if path.suffix == ".tar" or (path.is_dir() and layout.is_layout(path)):
        return layout.read_layout(path)
    return image_of(path, find_module(path), style)[0]
