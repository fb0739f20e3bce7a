"""Images without a registry: writing, reading, refusals, and which mesh accepts which format."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.digests import digest_of
from pwasm_compiler.errors import ImageError, UsageError
from pwasm_compiler.oci import layout, mesh_rules
from pwasm_compiler.oci.challenge import Challenge, parse_challenges
from pwasm_compiler.oci.image import make_image
from pwasm_compiler.oci.image_report import inspect_image
from pwasm_compiler.oci.manifest import Descriptor, Image, Manifest, parse_manifest
from pwasm_compiler.oci.reference import is_loopback, names_a_registry, parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import Transport
from pwasm_compiler.oci.unpack import extract, module_layer
from tests.support import registries

Pwasm = Callable[..., Any]
OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_TAR_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG = "application/vnd.module.wasm.config.v1+json"
CONTENT = "application/vnd.module.wasm.content.layer.v1+wasm"
NOTES = "application/vnd.module.wasm.doc.v1+markdown"


def tar_gzip(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(data) if kind == tarfile.REGTYPE else 0, "/etc/passwd"
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def image_of(manifest_type: str, *layers: tuple[str, bytes], declared: bool = True) -> Image:
    descriptors = [Descriptor(kind, digest_of(data), len(data)) for kind, data in layers]
    config = Descriptor("application/vnd.oci.image.config.v1+json", digest_of(b"{}"), 2)
    found: dict[str, Any] = {"schemaVersion": 2, "config": config.to_json()}
    found |= {"layers": [item.to_json() for item in descriptors]} | ({"mediaType": manifest_type} if declared else {})
    manifest = parse_manifest(json.dumps(found).encode(), manifest_type if declared else "")
    return Image(manifest, {digest_of(data): data for data in (b"{}", *(data for _, data in layers))})


def test_the_same_module_makes_the_same_image(tiny: bytes) -> None:
    """The digest is a constant: another Python, user, day or machine must not change it."""
    module = b"\0asm\1\0\0\0"
    found = {style: make_image(module, {"a": "b"}, style).digest for style in ("oci", "docker", "artifact")}
    assert len(set(found.values())) == 3
    layer = make_image(module, {}).manifest.layers[0]
    blob = make_image(module, {}).blobs[layer.digest]
    assert blob[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "no time, no name, no system"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mtime, member.uid, member.gid, member.uname, member.mode) == (
        "plugin.wasm",
        0,
        0,
        0,
        "",
        0o644,
    )
    # The tar is all our own; gzip's bytes are zlib's.
    assert digest_of(gzip.decompress(blob)) == "sha256:56377e46ca6472754d1e0141c9051e284cbb3f680b02c2a6414d2a4444a14ee1"


def test_annotations(pwasm: Pwasm, tmp_path: Path, tiny: bytes) -> None:
    folder = tmp_path / "My Filter"
    folder.mkdir()
    (folder / "filter.py").write_text("")
    project = '[project]\nname = "My.Filter"\nversion = "1.2"\ndescription = "Says hello"\nlicense = "MIT"\n'
    (folder / "pyproject.toml").write_text(project)
    (folder / "main.wasm").write_bytes(tiny)
    assert pwasm("package", folder).out.startswith(f"{folder}/image: my-filter, ")
    found = json.loads(pwasm("inspect", folder / "image", "--json").out)["image"]["annotations"]
    assert {name.rpartition(".")[2]: text for name, text in found.items() if name.startswith("org.")} == {
        "title": "My.Filter",
        "version": "1.2",
        "description": "Says hello",
        "licenses": "MIT",
    }
    assert found["module.wasm.image/variant"] == "compat"
    dockerfile = (folder / "Dockerfile").read_text()
    assert dockerfile.endswith("FROM scratch\nCOPY main.wasm ./plugin.wasm\n")
    (folder / "Dockerfile").write_text("mine")
    assert pwasm("package", folder).code == 0
    assert (folder / "Dockerfile").read_text() == "mine"


@pytest.mark.parametrize(
    ("layers", "manifest", "accepted"),
    [
        # ecosystem notes 2.1: each row was run with Istio's own fetcher.
        ([(DOCKER_TAR_GZIP, "tar")], DOCKER, ""),
        ([(TAR_GZIP, "tar")], OCI, ""),
        ([(TAR_GZIP, "./opt/plugin.wasm")], OCI, ""),
        ([(NOTES, "notes"), (TAR_GZIP, "tar")], OCI, ""),
        ([(CONFIG, "notes"), (CONTENT, "module")], OCI, ""),
        ([(CONTENT, "module"), (CONFIG, "notes")], OCI, ""),
        ([(TAR_GZIP, "tar"), (NOTES, "notes")], OCI, "The last of its 2 layers"),
        ([(TAR_GZIP, "main.wasm")], OCI, "no plugin.wasm in the image"),
        ([("application/vnd.oci.image.layer.v1.tar", "tar")], OCI, "The last of its 1 layers"),
        ([("application/vnd.oci.image.layer.v1.tar+zstd", "tar")], OCI, "The last of its 1 layers"),
        ([(DOCKER_TAR_GZIP, "tar")], OCI, "The last of its 1 layers"),
        ([(TAR_GZIP, "tar")], DOCKER, "The last of its 1 layers"),
        ([(CONTENT, "module")], OCI, "has 2 layers"),
        ([(CONFIG, "notes"), (CONTENT, "module"), (NOTES, "notes")], OCI, "has 2 layers"),
        ([("application/wasm", "module")], OCI, "The last of its 1 layers"),
        ([], OCI, "It has no layers"),
    ],
)
def test_what_the_meshes_take(layers: list[tuple[str, str]], manifest: str, accepted: str, tiny: bytes) -> None:
    content = {"tar": tar_gzip("plugin.wasm", tiny), "module": tiny, "notes": b"{}"}
    packed = [(kind, content.get(what) or tar_gzip(what, tiny)) for kind, what in layers]
    for declared in (True, False) if manifest == OCI else (True,):
        found = inspect_image("image", image_of(manifest, *packed, declared=declared))
        for mesh in mesh_rules.MESHES:
            verdict = mesh_rules.judge(mesh, found.problems)
            assert verdict.accepted == (not accepted), verdict
            assert accepted in "".join(verdict.problems)


def test_bombs_are_not_unpacked(tiny: bytes) -> None:
    """A gzip of zeros, a file with a large size, a sparse file: none takes more memory than the limit."""
    layer = Descriptor(TAR_GZIP, digest_of(b""), 0)
    with pytest.raises(ImageError, match="more than 256 MiB"):
        extract(layer, tar_gzip("plugin.wasm", bytes(3 << 20)), limit=1 << 20)
    with pytest.raises(ImageError, match="more than 256 MiB"):
        extract(layer, tar_gzip("zeros", bytes(3 << 20)), limit=1 << 20)
    info = tarfile.TarInfo("plugin.wasm")
    info.size = 1 << 40
    with pytest.raises(ImageError, match="more than 256 MiB"):
        extract(layer, gzip.compress(info.tobuf() + tiny))


def test_a_bomb_of_full_size() -> None:
    """257 MiB of zeros in 256 KiB: the real limit, and quick."""
    info = tarfile.TarInfo("other")
    info.size = 257 << 20
    packed = gzip.compress(info.tobuf()) + gzip.compress(bytes(1 << 20)) * 257
    with pytest.raises(ImageError, match="more than 256 MiB"):
        extract(Descriptor(TAR_GZIP, digest_of(b""), 0), packed)


def test_damaged_layers(tiny: bytes) -> None:
    layer = Descriptor(TAR_GZIP, digest_of(b""), 0)
    good = tar_gzip("plugin.wasm", tiny * 50)
    for bad in (b"", b"\x1f\x8b", good[: len(good) // 2], b"not gzip", gzip.compress(b"not a tar" * 100)):
        with pytest.raises(ImageError):
            extract(layer, bad)
    for at in range(10, len(good), 7):
        damaged = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        try:
            extract(layer, damaged)
        except ImageError:
            continue


def test_a_link_is_not_a_module() -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
        with pytest.raises(ImageError, match="not a regular file"):
            extract(Descriptor(TAR_GZIP, digest_of(b""), 0), tar_gzip("plugin.wasm", b"", kind))


def test_plugin_wasm_that_is_no_module(pwasm: Pwasm, tmp_path: Path) -> None:
    image = image_of(OCI, (TAR_GZIP, tar_gzip("plugin.wasm", b"#!/bin/sh\n")))
    for name, data in layout.files_of(image, parse_reference("x")).items():
        (tmp_path / "image" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "image" / name).write_bytes(data)
    looked = pwasm("inspect", "image", "--as", "higress")
    assert (looked.code, "Higress would reject it" in looked.out) == (1, True)
    assert "is not a Wasm module" in looked.out
    assert pwasm("inspect", "image").code == 0


def test_layouts_that_are_damaged(pwasm: Pwasm, tiny_file: Path) -> None:
    assert pwasm("package", tiny_file, "-o", "image").code == 0
    index = json.loads(Path("image/index.json").read_text())
    blob = Path("image/blobs/sha256") / index["manifests"][0]["digest"].removeprefix("sha256:")
    manifest = blob.read_bytes()
    for data, message in ((manifest[:-1], "is truncated"), (manifest[:-1] + b" ", "does not match its digest")):
        blob.write_bytes(data)
        looked = pwasm("inspect", "image")
        assert (looked.code, message in looked.err) == (1, True), looked.err
    blob.unlink()
    assert "is missing in" in pwasm("push", "127.0.0.1:1/x/y", "image").err
    index["manifests"] *= 2
    Path("image/index.json").write_text(json.dumps(index))
    assert "contains 2 images" in pwasm("inspect", "image").err
    assert "contains 2 images" in pwasm("package", tiny_file, "-o", "image").err, "one of them would be lost"
    Path("image.tar").write_bytes(b"nothing" * 1000)
    assert "is damaged" in pwasm("inspect", "image.tar").err


def test_nothing_else_is_overwritten(pwasm: Pwasm, tiny_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    refused = pwasm("package", tiny_file, "-o", folder)
    assert (refused.code, "something other" in refused.err) == (2, True)
    assert pwasm("package", tiny_file, "-o", tiny_file).code == 2
    assert pwasm("package", tiny_file, "-o", tmp_path / "no" / "image.tar").code == 1
    assert [file.name for file in folder.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("style", ["docker", "artifact"])
def test_archives_are_for_container_engines(pwasm: Pwasm, tiny_file: Path, style: str) -> None:
    refused = pwasm("package", tiny_file, "-o", "image.tar", "--format", style)
    assert (refused.code, Path("image.tar").exists()) == (1, False)
    assert "--format oci" in refused.err


def test_what_is_not_a_module_is_not_packaged(pwasm: Pwasm, tmp_path: Path) -> None:
    (tmp_path / "text.wasm").write_text("not a module")
    assert pwasm("package", "text.wasm").code == 1
    assert pwasm("package", "missing.wasm").code == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home", "text.wasm"]


def test_inspect_as_of_a_file(pwasm: Pwasm, tiny_file: Path, tmp_path: Path) -> None:
    assert "Istio would accept it" in pwasm("inspect", tiny_file, "--as", "istio").out
    (tmp_path / "empty.wasm").write_bytes(b"\0asm\1\0\0\0")
    looked = pwasm("inspect", "empty.wasm", "--as", "envoy-gateway", "--json")
    found = json.loads(looked.out)["mesh"]
    assert (looked.code, found["mesh"], found["accepted"]) == (1, "Envoy Gateway", False)
    assert pwasm("inspect", tiny_file, "--as", "linkerd").code == 2


def test_inspect_of_what_envoy_refuses(pwasm: Pwasm, tiny: bytes, tmp_path: Path) -> None:
    """A core module that is not a Proxy-Wasm module: the report has reason and offset, and the exit code is 1."""
    (tmp_path / "bare.wasm").write_bytes(b"\0asm\1\0\0\0")
    looked = pwasm("inspect", "bare.wasm")
    assert (looked.code, looked.err) == (1, "")
    assert "this is not a Proxy-Wasm module (at offset 0x" in looked.out
    assert pwasm("inspect", "bare.wasm", "--json").code == 1
    (tmp_path / "good.wasm").write_bytes(tiny)
    assert pwasm("inspect", "good.wasm").code == 0


@pytest.mark.parametrize(
    ("text", "registry", "repository", "version"),
    [
        ("ghcr.io/team/filter:1.0", "ghcr.io", "team/filter", "1.0"),
        ("oci://localhost:5000/filter", "localhost:5000", "filter", "latest"),
        ("[::1]:5000/a/b/c:x", "[::1]:5000", "a/b/c", "x"),
        ("filter", "docker.io", "library/filter", "latest"),
        ("docker://anna/filter:2", "docker.io", "anna/filter", "2"),
        ("ghcr.io/a/b:t@sha256:" + "a" * 64, "ghcr.io", "a/b", "sha256:" + "a" * 64),
    ],
)
def test_references(text: str, registry: str, repository: str, version: str) -> None:
    found = parse_reference(text)
    assert (found.registry, found.repository, found.version) == (registry, repository, version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "ghcr.io/",
        "ghcr.io/Team/filter",
        "ghcr.io/a b",
        "ghcr.io/a//b",
        "ghcr.io/a:",
        "ghcr.io/a:-x",
        "ghcr.io/a:" + "x" * 129,
        "ghcr.io/a@sha256:abc",
        "ghcr.io/a@sha512:" + "a" * 128,
        "ghcr.io/a@",
        "ghcr.io:99999/a",
        "user:password@ghcr.io/a",
        "https://ghcr.io/a",
        "ghcr.io/../a",
        "ghcr.io/a?x=y",
        "ghcr.io/a#x",
        "ghcr.io/a\r\nHost: x",
        "ghcr.io/" + "a" * 256,
        "ghcr.io/é",
    ],
)
def test_texts_that_are_no_references(pwasm: Pwasm, text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text)
    assert pwasm("pull", "--", text).code == 2


def test_which_texts_name_a_registry() -> None:
    assert all(map(names_a_registry, ["oci://x/y", "localhost/x", "ghcr.io/a/b", "127.0.0.1:5000/x:1"]))
    assert not any(map(names_a_registry, ["main.wasm", "./main.wasm", "build/main.wasm", "../x/y", "x:1"]))


def test_this_machine() -> None:
    assert all(map(is_loopback, ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000", "::1"]))
    assert not any(map(is_loopback, ["127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "example.com:127"]))


def test_challenges() -> None:
    header = 'Bearer realm="https://a/b?c=d,e",service="s \\"x\\"",scope="repository:a:pull,push", Basic realm=here'
    bearer, basic = parse_challenges([header])
    assert bearer.parameters["realm"] == "https://a/b?c=d,e"
    assert (bearer.parameters["service"], bearer.parameters["scope"]) == ('s "x"', "repository:a:pull,push")
    assert basic == Challenge("basic", {"realm": "here"})
    assert [item.scheme for item in parse_challenges(["Negotiate", "", '"""', "Basic"])] == ["negotiate", "basic"]


@pytest.mark.parametrize(
    ("challenge", "refused"),
    [
        ('Basic realm="Registry"', True),
        ('Bearer realm="https://auth.example.com/token"', False),
        ('Bearer realm="http://127.0.0.1:5001/token"', True),
        ('Bearer realm="https://10.0.0.1/token"', True),
    ],
)
def test_registries_that_istio_refuses(challenge: str, refused: bool) -> None:
    found = parse_challenges([challenge])
    assert mesh_rules.judge("istio", [], challenges=found).accepted is not refused
    assert mesh_rules.judge("envoy-gateway", [], challenges=found).accepted


def test_a_manifest_list_has_no_layer_with_a_module() -> None:
    with pytest.raises(ImageError, match="manifest list"):
        module_layer(Manifest(b"{}", "application/vnd.oci.image.index.v1+json"))


@pytest.mark.programs
def test_docker_takes_what_skopeo_takes(pwasm: Pwasm, tiny_file: Path) -> None:
    """`podman load` and `docker load` read the .tar as skopeo's docker-archive does; there is no engine here."""
    assert pwasm("package", tiny_file, "-o", "image.tar", "-t", "demo/tiny:3").code == 0
    with tarfile.open("image.tar") as archive:
        (entry,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())
    assert entry["RepoTags"] == ["docker.io/demo/tiny:3"]
    command = [registries.program("skopeo"), "--insecure-policy", "inspect", "docker-archive:image.tar"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_manifest_of_thousands_of_blobs_is_not_fetched() -> None:
    part = {"mediaType": TAR_GZIP, "size": 256 << 20}
    layers = [{**part, "digest": digest_of(bytes([at]))} for at in range(3)]
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest_of(b"{}")}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).encode()
    registry = Registry(parse_reference("registry.example.com/a:b"), Transport(), credentials=lambda _: None)
    with pytest.raises(ImageError, match=r"registry\.example\.com/a:b is larger than 512 MiB"):
        registry.pull(manifest=parse_manifest(raw))


def test_a_member_that_ends_before_it_begins(tmp_path: Path) -> None:
    """With a negative size the next member would be the same one, without end (CVE-2025-8194)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("a", "b"):
            archive.addfile(tarfile.TarInfo(name))
    header = bytearray(stream.getvalue())
    header[512 + 124 : 512 + 136] = (-512 % 256**12).to_bytes(12, "big")
    header[512 + 148 : 512 + 156] = b" " * 8
    header[512 + 148 : 512 + 156] = b"%06o\0 " % sum(header[512:1024])
    (tmp_path / "x.tar").write_bytes(header)
    with pytest.raises(ImageError) as caught:
        layout.read_layout(tmp_path / "x.tar")
    assert "negative size" in caught.value.why


def header(name: str, kind: bytes, data: bytes) -> bytes:
    """A member of a tar with a header that Python itself would not write."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def pax(**fields: str) -> bytes:
    records = b""
    for name, value in fields.items():
        rest = f" {name.replace('__', '.')}={value}\n".encode()
        size = len(rest) + len(str(len(rest)))
        records += f"{size + (len(str(size)) - len(str(len(rest))))}".encode() + rest
    return records


EMPTY = header("empty", tarfile.REGTYPE, b"")
GLOBAL = header("g", tarfile.XGLTYPE, pax(comment="x" * 3000))
SPARSE = header("x", tarfile.XHDTYPE, pax(GNU__sparse__major="1", GNU__sparse__minor="0"))


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (header("x", tarfile.XHDTYPE, b"1" * (1 << 20)), "extended headers are too long"),
        ((header("x", tarfile.XHDTYPE, pax(path="p" * 9000)) + EMPTY) * 200, "extended headers are too long"),
        (header("g", tarfile.XGLTYPE, pax(comment="x" * 5000)), "extended headers are too long"),
        ((GLOBAL + EMPTY) * 400, "extended headers are too long"),
        (header("L", tarfile.GNUTYPE_LONGNAME, b"n" * (1 << 16)), "extended headers are too long"),
        (SPARSE, "it has a sparse file"),
        (header("x", tarfile.XHDTYPE, pax(GNU__sparse__map="0,1")), "it has a sparse file"),
        (header("x", tarfile.XHDTYPE, pax(GNU__sparse__size="1")), "it has a sparse file"),
        (header("S", tarfile.GNUTYPE_SPARSE, b""), "it has a sparse file"),
    ],
    ids=["long", "many", "long global", "many global", "long name", "sparse 1.0", "sparse 0.1", "sparse 0.0", "sparse"],
)
def test_headers_that_cost_more_to_read_than_to_send(before: bytes, why: str, tiny: bytes, tmp_path: Path) -> None:
    archive = before + header("plugin.wasm", tarfile.REGTYPE, tiny) + bytes(1024)
    with pytest.raises(ImageError) as caught:
        extract(Descriptor(TAR_GZIP, digest_of(b""), 0), gzip.compress(archive))
    assert why in caught.value.why
    (tmp_path / "x.tar").write_bytes(archive)
    with pytest.raises(ImageError) as caught:
        layout.read_layout(tmp_path / "x.tar")
    assert why in caught.value.why


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_global_headers_are_read(form: int, tiny: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers={"comment": "by git"}) as archive:
        info = tarfile.TarInfo("a/" * 2000 + "plugin.wasm")
        info.size = len(tiny)
        archive.addfile(info, io.BytesIO(tiny))
    assert extract(Descriptor(TAR_GZIP, digest_of(b""), 0), gzip.compress(buffer.getvalue())) == tiny
