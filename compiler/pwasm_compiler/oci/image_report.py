"""The report of `pwasm inspect` on an image, and why a mesh would reject it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pwasm_compiler.errors import ImageError
from pwasm_compiler.files import printable_report

from .challenge import Challenge
from .manifest import ARTIFACT_MODULE, DOCKER_MANIFEST, Image, Manifest
from .unpack import extract, module_layer

_SHOWN_LETTERS = 200


@dataclass(frozen=True)
class InspectedImage:
    """An image as far as it could be read; if `module` is None, `problems` says why."""

    where: str
    manifest: Manifest
    index: Manifest | None
    module: bytes | None
    problems: tuple[str, ...]
    challenges: tuple[Challenge, ...] = ()


def inspect_image(
    where: str, image: Image, *, index: Manifest | None = None, challenges: tuple[Challenge, ...] = ()
) -> InspectedImage:
    """Inspect `image`, which was listed in `index` if `where` refers to that."""
    module: bytes | None = None
    problems: tuple[str, ...] = ()
    try:
        layer = module_layer(image.manifest)
        module = extract(layer, image.blob(layer))
    except ImageError as error:
        problems = (" ".join(filter(None, (error.what + ":" if error.why else error.what, error.why))),)
    return InspectedImage(where, image.manifest, index, module, problems, challenges)


def image_report(found: InspectedImage) -> dict[str, Any]:
    """The image as plain values (what `--json` prints)."""
    manifest = found.manifest
    return {
        "path": found.where,
        "digest": manifest.digest,
        "list": found.index.digest if found.index else None,
        "media_type": manifest.media_type,
        "format": image_format(manifest),
        "size": sum(layer.size for layer in manifest.layers),
        "layers": [layer.to_json() for layer in manifest.layers],
        "annotations": dict(manifest.annotations),
        "problems": list(found.problems),
    }


def image_format(manifest: Manifest) -> str:
    """`oci`, `docker`, `artifact` or `list`."""
    if manifest.is_index:
        return "list"
    if manifest.media_type == DOCKER_MANIFEST:
        return "docker"
    return "artifact" if any(layer.media_type == ARTIFACT_MODULE for layer in manifest.layers) else "oci"


def render_image(report: dict[str, Any]) -> str:
    """`image_report` as text."""
    report = printable_report(report)
    lines = [
        f"{report['path']}: image, {report['format']}",
        f"  digest       {report['digest']}",
        *([f"  of the list  {report['list']}"] if report["list"] else []),
        *(f"  layer        {layer['mediaType']}, {layer['size']:,} bytes" for layer in report["layers"]),
        *(f"  annotation   {name} = {value[:_SHOWN_LETTERS]}" for name, value in sorted(report["annotations"].items())),
        *(f"  problem      {problem[:_SHOWN_LETTERS]}" for problem in report["problems"]),
    ]
    return "\n".join(lines)
