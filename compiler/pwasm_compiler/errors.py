"""Every error that the compiler shows to the user.

    PwasmError            what / why / hint; the command line prints it and exits with 1
    ├── UsageError        the command was called wrongly; exits with 2
    ├── ProjectError      the filter's folder, pyproject.toml or dependencies are not usable
    ├── BuildError        the filter could not be imported or frozen
    ├── ToolError         something that must be installed is missing or failed
    ├── ImageError        an invalid image, layout or archive
    ├── RegistryError     a registry, or the connection to it, failed
    └── BinaryError       a Wasm binary; the message ends "(at offset 0x…)" where an offset is known
        ├── DecodeError       not the binary format it claims to be
        │   └── UnsupportedError  perhaps valid, but outside the subset that componentize-py emits
        ├── LinkError         an unresolved import, or a component of an unknown shape
        └── VerifyError       a finished module that Envoy would not load

Only `pwasm_compiler.cli` prints and exits.
"""

from __future__ import annotations

import importlib.metadata

DISTRIBUTION = "pwasm-sdk"


def report_a_bug() -> str:
    """The `why` of an error that only a bug in pwasm can cause; the URL is in the package's metadata."""
    return f"This is a bug in pwasm; please report it {_issue_tracker()}"


def _issue_tracker() -> str:
    try:
        urls = importlib.metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:
        urls = []
    found = dict(url.split(", ", 1) for url in urls if ", " in url)
    return f"at {found['Issues']}" if "Issues" in found else "in the repository's issue tracker"


def split_hint(message: str) -> tuple[str, str]:
    """`what` and `hint` of an error of the SDK, which has both in one text."""
    what, _, hint = message.partition("hint: ")
    return what.strip(), hint.strip()


class PwasmError(Exception):
    """An error with a message (`what`), an optional reason (`why`) and an optional way out (`hint`)."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(self.why)
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UsageError(PwasmError):
    """The command was called wrongly."""

    exit_code = 2


class ProjectError(PwasmError):
    """The filter's folder, its pyproject.toml or its dependencies are not usable."""


class BuildError(PwasmError):
    """The filter could not be imported or frozen."""


class ToolError(PwasmError):
    """Something that must be installed is missing, or it failed."""


class ImageError(PwasmError):
    """An image, a layout or an archive is invalid."""


class RegistryError(PwasmError):
    """A registry, or the connection to it, failed."""


class BinaryError(PwasmError):
    """A Wasm binary is not what it should be; `offset` is in bytes from the start of the file, or None."""

    def __init__(self, what: str, *, offset: int | None = None, why: str = "", hint: str = "") -> None:
        if offset is not None:
            what = f"{what} (at offset {offset:#x})"
        super().__init__(what, why=why, hint=hint)
        self.offset = offset


class DecodeError(BinaryError):
    """The bytes are not the binary format they claim to be."""


class UnsupportedError(DecodeError):
    """Perhaps valid, but outside the subset that componentize-py emits and this linker reads."""

    def __init__(self, what: str, *, offset: int | None = None) -> None:
        super().__init__(
            what,
            offset=offset,
            why="This may be valid WebAssembly, but pwasm supports only what componentize-py, Go and TinyGo emit.",
            hint="if this happens in a build, run `pwasm doctor` to check Python and the installed files",
        )


class LinkError(BinaryError):
    """An unresolved import, or a component of an unknown shape."""


class VerifyError(BinaryError):
    """A finished module that Envoy would not load."""
