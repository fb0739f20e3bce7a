"""Push and pull with a real registry: open, Basic, Bearer, TLS; read back by clients that are not ours."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.digests import digest_of
from pwasm_compiler.oci.image import make_image
from pwasm_compiler.oci.reference import parse_reference
from pwasm_compiler.oci.registry import Registry
from pwasm_compiler.oci.transport import Transport
from tests.support import registries

Pwasm = Callable[..., Any]


def auth() -> str:
    return base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()


def skopeo(*arguments: str) -> str:
    command = [registries.program("skopeo"), "--insecure-policy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.wasm
def test_a_filter_from_its_folder_to_a_registry_and_back(
    pwasm: Pwasm, registry: Any, built: Callable[[str], Path], tmp_path: Path
) -> None:
    """Build, package, push, pull; the same bytes for skopeo, for umoci and for us."""
    module = built("../../filters/hello_world")
    reference = f"{registry.address}/filters/hello:1.0"
    packaged = pwasm("package", module, "-o", "layout", "-t", reference)
    pushed = pwasm("push", reference, module)
    assert (packaged.code, pushed.code) == (0, 0), packaged.err + pushed.err
    pinned = pushed.out.strip()
    assert pinned.rpartition("@")[2] in packaged.out, "a folder and a push are the same image"
    assert pwasm("pull", pinned, "-o", "back.wasm").code == 0
    assert (tmp_path / "back.wasm").read_bytes() == module.read_bytes()

    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{reference}"))
    assert (seen["Digest"], seen["Architecture"], seen["Os"]) == (pinned.rpartition("@")[2], "amd64", "linux")
    skopeo("copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{tmp_path}/copied:1")
    for image in ("copied:1", "layout:1.0"):
        bundle = tmp_path / f"bundle-{image.partition(':')[0]}"
        unpack = [registries.program("umoci"), "unpack", "--rootless", "--image", str(tmp_path / image), str(bundle)]
        subprocess.run(unpack, check=True, capture_output=True)
        assert [file.name for file in (bundle / "rootfs").iterdir()] == ["plugin.wasm"]
        assert (bundle / "rootfs" / "plugin.wasm").read_bytes() == module.read_bytes()


@pytest.mark.parametrize("style", ["oci", "docker", "artifact"])
def test_every_format_comes_back(pwasm: Pwasm, registry: Any, tiny: bytes, tiny_file: Path, style: str) -> None:
    reference = f"{registry.address}/formats/{style}"
    assert pwasm("push", reference, tiny_file, "--format", style).code == 0
    assert pwasm("pull", reference, "-o", "back.wasm").code == 0
    assert Path("back.wasm").read_bytes() == tiny
    for mesh in ("istio", "envoy-gateway", "higress"):
        looked = pwasm("inspect", reference, "--as", mesh)
        assert (looked.code, "would accept it" in looked.out) == (0, True), looked.out


def test_what_is_pushed_is_what_was_packaged(pwasm: Pwasm, registry: Any, tiny_file: Path) -> None:
    """A folder and a .tar can be pushed as well, and are the image that a module makes."""
    reference = f"{registry.address}/same/image:1"
    assert pwasm("package", tiny_file, "-o", "layout").code == 0
    assert pwasm("package", tiny_file, "-o", "image.tar").code == 0
    digests = {pwasm("push", reference, source).out for source in (tiny_file, "layout", "image.tar")}
    assert len(digests) == 1
    assert "sha256:" in digests.pop()


def test_a_whole_image_is_pulled(pwasm: Pwasm, registry: Any, tiny_file: Path) -> None:
    reference = f"{registry.address}/whole/image:1"
    digest = pwasm("push", reference, tiny_file).out.strip().rpartition("@")[2]
    assert pwasm("pull", reference, "-o", "image").code == 0
    assert pwasm("pull", reference, "-o", "image.tar").code == 0
    for name in ("image", "image.tar"):
        assert json.loads(pwasm("inspect", name, "--json").out)["image"]["digest"] == digest
    skopeo("copy", "docker-archive:image.tar", "oci:from-docker:1")
    skopeo("copy", "oci-archive:image.tar", "oci:from-oci:1")
    assert json.loads(pwasm("inspect", "from-oci", "--json").out)["image"]["digest"] == digest
    assert pwasm("inspect", "from-docker", "--as", "istio").code == 0


def test_a_large_blob_goes_in_pieces(registry: Any, tiny: bytes, home: Path) -> None:
    reference = parse_reference(f"{registry.address}/pieces/image:1")
    sent: list[int] = []
    client = Registry(reference, Transport(), chunk_bytes=100)
    image = make_image(tiny, {"in": "pieces"}, "artifact")
    assert client.push(image, sent.append) == image.digest
    assert len([count for count in sent if count == 100]) >= len(tiny) // 100
    assert client.pull().blobs == image.blobs


def test_basic_credentials(
    pwasm: Pwasm, basic_registry: Any, log_in: Callable[..., None], tiny: bytes, tiny_file: Path
) -> None:
    reference = f"{basic_registry.address}/team/filter:1"
    refused = pwasm("push", reference, tiny_file)
    assert refused.code == 1
    assert f"docker login {basic_registry.address}" in refused.err
    log_in(basic_registry.address, auth=base64.b64encode(f"{registries.USER}:wrong".encode()).decode())
    refused = pwasm("push", reference, tiny_file)
    assert (refused.code, "rejected the credentials" in refused.err) == (1, True)
    log_in(basic_registry.address, auth=auth())
    assert pwasm("push", reference, tiny_file).code == 0
    assert pwasm("pull", reference, "-o", "back.wasm").code == 0
    assert Path("back.wasm").read_bytes() == tiny
    looked = pwasm("inspect", reference, "--as", "istio")
    assert (looked.code, "Basic authentication" in looked.out) == (1, True)
    assert pwasm("inspect", reference, "--as", "envoy-gateway").code == 0


@pytest.mark.parametrize("kind", ["password", "identity token"])
def test_tokens(
    pwasm: Pwasm,
    token_registry: Any,
    token_server: Any,
    log_in: Callable[..., None],
    tiny: bytes,
    tiny_file: Path,
    kind: str,
) -> None:
    reference = f"{token_registry.address}/team/{kind.partition(' ')[0]}:1"
    refused = pwasm("push", reference, tiny_file)
    assert (refused.code, "rejected the credentials" in refused.err) == (1, True), refused.err
    entry = {"auth": auth()} if kind == "password" else {"identitytoken": token_server.identity}
    log_in(token_registry.address, **entry)
    assert pwasm("push", reference, tiny_file).code == 0
    log_in(token_registry.address)  # no credentials: this token server lets everybody pull
    assert pwasm("pull", reference, "-o", "back.wasm").code == 0
    assert Path("back.wasm").read_bytes() == tiny


def test_a_wrong_password_at_the_token_server(
    pwasm: Pwasm, token_registry: Any, log_in: Callable[..., None], tiny_file: Path
) -> None:
    log_in(token_registry.address, auth=base64.b64encode(b"anna:wr0ng-word").decode())
    refused = pwasm("push", f"{token_registry.address}/team/filter:1", tiny_file)
    assert (refused.code, "issued no token" in refused.err) == (1, True)
    assert "wr0ng-word" not in refused.err


def test_tls(pwasm: Pwasm, tls_registry: Any, certificate: tuple[Path, Path], tiny_file: Path) -> None:
    reference = f"{tls_registry.address}/team/filter:1"
    refused = pwasm("push", reference, tiny_file)
    assert (refused.code, "--ca-file" in refused.err) == (1, True), "this machine is spoken to in plain HTTP"
    assert pwasm("push", reference, tiny_file, "--ca-file", certificate[0]).code == 0
    assert pwasm("pull", reference, "--ca-file", certificate[0]).code == 0
    assert pwasm("pull", reference, "--ca-file", certificate[1]).code == 2


def test_another_certificate_is_not_trusted(pwasm: Pwasm, tls_registry: Any, tmp_path: Path) -> None:
    other, _ = registries.make_certificate(tmp_path)
    refused = pwasm("pull", f"{tls_registry.address}/team/filter:1", "--ca-file", other)
    assert (refused.code, "is not trusted" in refused.err) == (1, True), refused.err


def test_a_list_is_not_an_image(pwasm: Pwasm, registry: Any, tiny: bytes, home: Path) -> None:
    """Pull says so; inspect looks at the image that the meshes take of it."""
    reference = parse_reference(f"{registry.address}/lists/image:1")
    image = make_image(tiny, {})
    client = Registry(reference, Transport())
    client.push(image)
    entry = image.manifest.descriptor().to_json()
    for tag, platform in (("mixed", "amd64"), ("foreign", "arm64")):
        entries = [{**entry, "platform": {"os": "linux", "architecture": platform}}]
        kind = "application/vnd.oci.image.index.v1+json"
        raw = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
        client._call("PUT", f"manifests/{tag}", body=raw, headers={"Content-Type": kind})
    name = f"{registry.address}/lists/image"
    pulled = pwasm("pull", f"{name}:mixed")
    assert (pulled.code, "manifest list" in pulled.err) == (1, True)
    looked = pwasm("inspect", f"{name}:mixed", "--as", "istio")
    assert (looked.code, f"pin that one, {image.digest}" in looked.out) == (0, True), looked.out
    looked = pwasm("inspect", f"{name}:foreign", "--as", "istio")
    assert (looked.code, "manifest list" in looked.out) == (1, True)


def test_progress_is_for_terminals(registry: Any, tiny_file: Path, home: Path) -> None:
    """On a terminal a bar on standard error; standard output is the digest and nothing else."""
    command = [sys.executable, "-m", "pwasm_compiler.cli", "push", f"{registry.address}/team/bar:1", str(tiny_file)]
    quiet = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (quiet.stderr, quiet.stdout.count("\n")) == ("", 1)
    terminal, other_end = os.openpty()
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=other_end, text=True, check=True)
    os.close(other_end)
    written = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert shown.stdout == quiet.stdout
    assert "pushing" in written


def test_a_digest_that_is_not_that_of_the_image(pwasm: Pwasm, registry: Any, tiny_file: Path) -> None:
    wrong = digest_of(b"another image")
    refused = pwasm("push", f"{registry.address}/team/filter@{wrong}", tiny_file)
    assert (refused.code, "push it to a tag" in refused.err) == (2, True)
    assert pwasm("pull", f"{registry.address}/team/filter@{wrong}").code == 1


def test_pull_does_not_replace_another_module_unasked(pwasm: Pwasm, registry: Any, tiny_file: Path) -> None:
    reference = f"{registry.address}/team/mine:1"
    assert pwasm("push", reference, tiny_file).code == 0
    Path("mine.wasm").write_bytes(b"something of mine")
    refused = pwasm("pull", reference)
    assert (refused.code, Path("mine.wasm").read_bytes()) == (2, b"something of mine")
    assert pwasm("pull", reference, "-o", "mine.wasm").code == 0
    assert pwasm("pull", reference).code == 0, "the same module may be there"
