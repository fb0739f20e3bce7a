"""`pwasm package`"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.cache import new_folder
from pwasm_compiler.commands.build import build_project, summary
from pwasm_compiler.console import say, say_document, warn
from pwasm_compiler.errors import UsageError
from pwasm_compiler.files import (
    check_readable,
    check_writable,
    printable,
    read_bytes,
    shown,
    write_atomically,
)
from pwasm_compiler.inspect import describe
from pwasm_compiler.oci import layout
from pwasm_compiler.oci.image import FORMATS, Format, labels_for, make_image
from pwasm_compiler.oci.manifest import Image
from pwasm_compiler.oci.reference import Reference, parse_reference
from pwasm_compiler.project import is_stale, load_project
from pwasm_compiler.pyproject import read_configuration

_DEFAULT_OUTPUT = "image"
_PLAIN_NAME = re.compile(r"[\w.+-]+", re.ASCII)
"""What a Dockerfile's COPY accepts without quoting."""
_LAYOUT_ENTRIES = {layout.LAYOUT_FILE, layout.INDEX_FILE, "blobs"}

format_option = click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="oci",
    metavar="FORMAT",
    help="oci, accepted everywhere; docker or artifact for registries that accept nothing else (default oci).",
)


@click.command(short_help="Package a filter as an image, in a folder or a .tar.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR|FILE.tar", help="Where to write the image."
)
@click.option("-t", "--tag", metavar="NAME:TAG", help="Name of the image (default: the filter's name, latest).")
@format_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document.")
def package(path: Path, output: Path | None, tag: str | None, style: Format, as_json: bool) -> None:
    """Package the filter at PATH as an image that Istio, Envoy Gateway and Higress accept from a registry.

    PATH is a folder with a filter in Python or Go, a single .py file, or a built module (.wasm); the default is the
    current folder. A filter is built first if needed. The same module gives the same image, with the same digest.

    The image is written to the folder DIR as an OCI image layout (default: image, next to the module), or to FILE.tar,
    which docker load and podman load accept. A Dockerfile that builds the same kind of image is placed next to the
    module unless there is one. `pwasm push` needs none of these files.
    """
    module = find_module(path)
    image, name = image_of(path, module, style)
    reference = parse_reference(tag or name)
    output = output or module.parent / _DEFAULT_OUTPUT
    write_image(image, reference, output)
    docker_file = module.parent / "Dockerfile"
    if not docker_file.exists() and _PLAIN_NAME.fullmatch(module.name):
        write_atomically(docker_file, layout.dockerfile(tag or name, module.name).encode())
    size = sum(layer.size for layer in image.manifest.layers)
    if as_json:
        found = {"path": str(output), "name": str(reference), "digest": image.digest, "size": size, "format": style}
        say_document(found)
    else:
        say(f"{shown(output)}: {tag or name}, {size / 2**20:.1f} MiB, {image.digest}")


def find_module(path: Path) -> Path:
    """The module at `path`; for a filter whose module is missing or stale, built first."""
    if path.suffix == ".wasm":
        check_readable(path, hint="create one with: pwasm build")
        return path.absolute()
    project = load_project(path)
    if is_stale(project):
        say(summary(build_project(project)), err=True)
    return project.output


def image_of(path: Path, module: Path, style: Format) -> tuple[Image, str]:
    """The image of `module`, and its default name."""
    data = read_bytes(module)
    report = describe(shown(module), data)
    for problem in report["problems"]:
        warn(f"Envoy would reject {shown(module)}: {problem['message']}")
    table, name = _described(path, module)
    return make_image(data, labels_for(data, name, table, report["sdk"]), style), _image_name(name)


def _described(path: Path, module: Path) -> tuple[Mapping[str, Any], str]:
    """The filter's `[project]` table and its name."""
    if path.suffix == ".wasm":
        return {}, printable(module.stem if module.stem != "main" else module.parent.name)
    project = load_project(path)
    if project.configuration is None:
        return {}, project.name
    return read_configuration(project.configuration).table("project").values, project.name


def _image_name(name: str) -> str:
    """`name` reduced to the characters allowed in an image name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "filter"


def write_image(image: Image, reference: Reference, output: Path) -> None:
    """Write `image` to `output`, a folder or a .tar, atomically; nothing but an image is overwritten."""
    if output.suffix == ".tar":
        check_writable(output)
        write_atomically(output, layout.archive_of(image, reference))
        return
    _refuse_to_replace(output)
    with new_folder(output.absolute()) as folder:
        for name, data in layout.files_of(image, reference).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)


def _refuse_to_replace(output: Path) -> None:
    if not output.exists() and not output.is_symlink():
        return
    if not output.is_dir() or output.is_symlink():
        raise UsageError(
            f"{output} exists and is not a folder", hint="choose another with -o; a file name must end in .tar"
        )
    others = {entry.name for entry in output.iterdir()} - _LAYOUT_ENTRIES
    if others or (any(output.iterdir()) and not layout.is_layout(output)):
        raise UsageError(f"{output} contains something other than an image", hint="choose another folder with -o")
    if layout.is_layout(output):
        layout.read_layout(output)  # an error for several images, of which all but one would be lost
