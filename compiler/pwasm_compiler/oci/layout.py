"""The OCI image layout, as a folder or as a .tar for `docker load` and `podman load`.

Layout: https://github.com/opencontainers/image-spec/blob/main/image-layout.md. The .tar is a layout with one more
file, the manifest.json that Docker's loader reads; it is what `docker save` writes since Docker 25.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from pwasm_compiler.digests import sha256_of
from pwasm_compiler.errors import ImageError, UsageError
from pwasm_compiler.files import check_readable

from .manifest import (
    BLOB_LIMIT,
    IMAGE_LIMIT,
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Image,
    canonical_json,
    checked,
    parse_manifest,
)
from .reference import DEFAULT_TAG, Reference
from .tars import content, members, open_tar, reading

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
_DOCKER_FILE = "manifest.json"
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_DOCKERFILE = """\
# With Docker: docker build -t {name} . && docker push {name}
FROM scratch
COPY {module} ./plugin.wasm
"""


def dockerfile(name: str, module: str) -> str:
    """The Dockerfile that builds an image the meshes accept, from the file `module` next to it."""
    return _DOCKERFILE.format(name=name, module=module)


def files_of(image: Image, reference: Reference) -> dict[str, bytes]:
    """Every file of the layout, by path."""
    tag = reference.tag or DEFAULT_TAG
    named = image.manifest.descriptor({_REF_NAME: tag})
    files = {
        LAYOUT_FILE: _VERSION,
        INDEX_FILE: canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named.to_json()]}),
        _blob_path(image.digest): image.manifest.raw,
    }
    return files | {_blob_path(digest): data for digest, data in sorted(image.blobs.items())}


def archive_of(image: Image, reference: Reference) -> bytes:
    """The layout as a reproducible .tar.

    Raises:
        ImageError: container engines cannot load an image of this format.
    """
    manifest = image.manifest
    if manifest.media_type != OCI_MANIFEST or any(layer.media_type != OCI_LAYER for layer in manifest.layers):
        raise ImageError(
            "container engines can only load images in the format oci",
            hint="use --format oci, or write a folder",
        )
    assert manifest.config is not None
    name = f"{reference.registry}/{reference.repository}:{reference.tag or DEFAULT_TAG}"
    loaded = {
        "Config": _blob_path(manifest.config.digest),
        "RepoTags": [name],
        "Layers": [_blob_path(layer.digest) for layer in manifest.layers],
    }
    files = files_of(image, reference) | {_DOCKER_FILE: canonical_json([loaded])}
    named = manifest.descriptor({_REF_NAME: reference.tag or DEFAULT_TAG, _FULL_NAME: name})
    files[INDEX_FILE] = canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named.to_json()]})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode, info.mtime = len(data), 0o644, 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def is_layout(path: Path) -> bool:
    """Whether the folder `path` is marked as an OCI layout."""
    return (path / LAYOUT_FILE).is_file() and (path / INDEX_FILE).is_file()


def read_layout(path: Path) -> Image:
    """The only image of the layout at `path`, a folder or a .tar, with its digests verified.

    Raises:
        ImageError: it is not a layout, contains several images, or a blob is missing or damaged.
    """
    read = _folder_reader(path) if path.is_dir() else _archive_reader(path)
    index = parse_manifest(read(INDEX_FILE, MANIFEST_LIMIT), OCI_INDEX, f"{path}: {INDEX_FILE}")
    if len(index.children) != 1:
        names = ", ".join(child.annotations.get(_REF_NAME, child.digest) for child in index.children) or "nothing"
        raise ImageError(f"{path} contains {len(index.children)} images", why=f"They are: {names[:500]}.")
    entry = index.children[0]
    raw = _blob(read, entry, path)
    manifest = parse_manifest(raw, entry.media_type, f"{path}: the manifest")
    return Image(manifest, {item.digest: _blob(read, item, path) for item in manifest.parts})


def digest_of_layout(folder: Path) -> str:
    """The digest of the one manifest in a layout, without `sha256:`: what a mesh compares with `sha256`."""
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        (manifest,) = index["manifests"]
        return sha256_of(manifest["digest"])
    except OSError as error:
        raise UsageError(
            f"cannot read {folder}/{INDEX_FILE}", why=f"{error.strerror}.", hint="create an image with: pwasm package"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} is not an image layout with one manifest", hint="create one with: pwasm package"
        ) from error


def _blob(read: Callable[[str, int], bytes], descriptor: Descriptor, path: Path) -> bytes:
    if descriptor.size > BLOB_LIMIT:
        raise ImageError(f"{path} refers to a blob of more than {BLOB_LIMIT >> 20} MiB")
    return checked(read(_blob_path(descriptor.digest), descriptor.size), descriptor)


def _folder_reader(folder: Path) -> Callable[[str, int], bytes]:
    if not is_layout(folder):
        raise ImageError(f"{folder} is not an OCI image layout", why=f"It must contain {LAYOUT_FILE} and {INDEX_FILE}.")

    def read(name: str, limit: int) -> bytes:
        file = folder / name
        if not file.is_file():
            raise ImageError(f"{name} is missing in {folder}")
        with file.open("rb") as stream:
            return stream.read(limit + 1)

    return read


def _archive_reader(file: Path) -> Callable[[str, int], bytes]:
    check_readable(file, IMAGE_LIMIT, hint="create one with: pwasm package")

    def read(name: str, limit: int) -> bytes:
        with reading(f"{file} is damaged", of="a .tar"), open_tar("r:", file) as archive:
            member = next((item for item in members(archive) if item.name.removeprefix("./") == name), None)
            if member is None:
                raise ImageError(
                    f"{name} is missing in {file}",
                    why="It is not an OCI image layout in a .tar, or is incomplete.",
                    hint="Docker 25 and later write one with: docker save NAME -o FILE.tar",
                )
            found = content(archive, member, limit + 1)
            if found is None:
                raise ImageError(f"{name} in {file} is not a regular file")
            return found

    return read


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)
