"""A distribution that pip has chosen, and what in its archive the module could run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

NATIVE_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution in one version."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    """Its `Requires-Dist`, with their markers."""
    url: str = ""
    """Where its archive is."""
    sha256: str = ""
    """Of that archive; "" where there is none, as for a folder."""
    is_direct: bool = False
    """Whether a requirement names the URL."""
    is_requested: bool = False
    """Whether the filter itself requires it."""

    @property
    def key(self) -> str:
        """Its normalized name."""
        return canonicalize_name(self.name)

    @property
    def archive(self) -> str:
        """The file name of its archive."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def is_wheel(self) -> bool:
        return self.archive.endswith(".whl")

    @property
    def is_pure(self) -> bool:
        """Whether its archive is a wheel that claims to run on every machine."""
        try:
            tags = parse_wheel_filename(self.archive)[3]
        except InvalidWheelFilename:
            return False
        return any(tag.abi == "none" and tag.platform == "any" for tag in tags)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def from_report(report: Mapping[str, Any]) -> tuple[Distribution, ...]:
    """The distributions in an installation report of pip."""
    return tuple(_from_item(item) for item in report["install"])


def _from_item(item: Mapping[str, Any]) -> Distribution:
    metadata, download = item["metadata"], item["download_info"]
    return Distribution(
        metadata["name"],
        metadata["version"],
        tuple(metadata.get("requires_dist", ())),
        _url_of(download),
        sha256_of(download),
        item.get("is_direct", False),
        item.get("requested", False),
    )


def _url_of(download: Mapping[str, Any]) -> str:
    """The URL as a requirement has it: a checkout's (PEP 610) begins with its tool."""
    url, checkout = str(download["url"]), download.get("vcs_info")
    fragment = f"#subdirectory={download['subdirectory']}" if "subdirectory" in download else ""
    return f"{checkout['vcs']}+{url}@{checkout['commit_id']}{fragment}" if checkout else url + fragment


def sha256_of(download: Mapping[str, Any]) -> str:
    """The SHA-256 in a direct URL (PEP 610), or ""."""
    digest = download.get("archive_info", {}).get("hashes", {}).get("sha256", "")
    return digest if isinstance(digest, str) else ""


def installed(packages: Path) -> tuple[Distribution, ...]:
    """The distributions in a folder that pip has filled, sorted by name."""
    return tuple(sorted(map(from_metadata, packages.glob("*.dist-info")), key=lambda found: found.key))


def from_metadata(dist_info: Path) -> Distribution:
    """The distribution that has been installed with this metadata."""
    headers = HeaderParser().parsestr((dist_info / "METADATA").read_text(encoding="utf-8"), headersonly=True)
    requires = tuple(str(text) for text in headers.get_all("Requires-Dist", ()))
    return Distribution(str(headers["Name"]), str(headers["Version"]), requires)


def is_native(file: str) -> bool:
    """Whether a file of a distribution is native code, by its name."""
    name = file.rpartition("/")[2]
    return name.endswith(NATIVE_SUFFIXES) or re.search(r"\.so\.\d", name) is not None


def by_key(distributions: Iterable[Distribution]) -> dict[str, Distribution]:
    return {found.key: found for found in distributions}
