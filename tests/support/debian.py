"""Empty Debian systems, and commands in them.

debootstrap makes a root folder with what a release has and nothing else. A command runs there by chroot, in namespaces
of its own: what it started ends with it, and what was mounted goes. It needs root.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 900
_FOR_THE_NETWORK = re.compile(
    r"PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|DEFAULT_TIMEOUT)|\w+_proxy|SSL_CERT_FILE", re.IGNORECASE
)
_FILES_FOR_THE_NETWORK = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_LOOPBACK_UP = (
    "import fcntl, socket, struct; "
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 1))"  # SIOCSIFFLAGS, IFF_UP
)


class MachineError(Exception):
    """A command in a machine failed; with all that it printed."""


def missing() -> str:
    """The first missing requirement of a machine, or ""."""
    if os.name != "posix" or os.geteuid() != 0:
        return "root"
    return next((program for program in ("debootstrap", "unshare", "chroot") if shutil.which(program) is None), "")


@dataclass(frozen=True)
class Release:
    """A release of Debian, and the packages to start with; `script` is what debootstrap calls its like."""

    name: str
    packages: tuple[str, ...]
    script: str = ""


# What the README asks for, and curl to try it; the other two get pwasm as a wheel.
OLD = Release("bookworm", ("python3", "python3-venv", "git", "make", "ca-certificates", "curl"))
NEW = Release("trixie", ("python3", "python3-venv", "ca-certificates"))
NEXT = Release("forky", ("python3", "python3-venv", "ca-certificates"), script="sid")
VENV = "/opt/pwasm"
"""Where a machine has pwasm that gets it as a wheel."""


@dataclass(frozen=True)
class Machine:
    """The root folder of a system."""

    root: Path

    def run(
        self,
        script: str,
        *,
        user: str = "root",
        network: bool = True,
        environment: Mapping[str, str] | None = None,
        small: str = "",
    ) -> str:
        """What a shell prints that runs `script`, which ends at the first command that fails.

        Args:
            script: for `sh -e`.
            user: who runs it.
            network: False leaves only the loopback interface.
            environment: is all there is, beside PATH, HOME and, with a network, how to reach the package indexes.
            small: a folder that is a file system of 256 KiB while the command runs.

        Raises:
            MachineError: it failed.
        """
        found = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": _home(user)}
        if network:
            found |= {name: value for name, value in os.environ.items() if _FOR_THE_NETWORK.fullmatch(name)}
        found |= environment or {}
        outside = [f"mount -t proc proc {self.root}/proc"]
        if small:
            outside.append(f"mount -t tmpfs -o size=256k,mode=1777 tmpfs {self.root}{small}")
        inside = ["env", "-i", *(f"{name}={value}" for name, value in found.items())]
        if user != "root":
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        command = shlex.join(["chroot", str(self.root), *inside, "sh", "-ec", script])
        if not network:
            outside.append(shlex.join(["chroot", str(self.root), "python3", "-c", _LOOPBACK_UP]))
        outside.append(f"exec {command}")
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
        return _run(["unshare", *namespaces, "sh", "-ec", "\n".join(outside)])

    def path(self, inside: str) -> Path:
        """The path of a machine's file on the host."""
        return self.root / inside.lstrip("/")

    def add_user(self, name: str, *groups: str) -> None:
        """A user whose home they cannot write."""
        for group in groups:
            self.run(f"getent group {group} >/dev/null || groupadd {group}")
        self.run(f"useradd --user-group --groups={','.join(groups)} {name} && mkdir -p {_home(name)}")


def make(release: Release, folder: Path, packages: Path) -> Machine:
    """A machine in `folder`; downloaded packages are kept in `packages`."""
    packages.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(release.packages)}", f"--cache-dir={packages}"]
    script = f"/usr/share/debootstrap/scripts/{release.script}" if release.script else ""
    _run([*command, release.name, str(folder), *(["", script] if script else [])])
    for file in _FILES_FOR_THE_NETWORK:
        if Path(file).is_file():
            target = folder / file.lstrip("/")
            target.unlink(missing_ok=True)
            shutil.copyfile(file, target)
    return Machine(folder)


def _home(user: str) -> str:
    return "/root" if user == "root" else f"/home/{user}"


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise MachineError(f"{shlex.join(command)}\nended with {done.returncode}:\n{done.stdout}")
    return done.stdout
