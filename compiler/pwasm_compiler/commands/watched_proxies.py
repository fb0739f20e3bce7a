"""What proxies say of a filter, before and after `pwasm deploy --proxies` changes it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from pwasm_compiler.envoy import admin
from pwasm_compiler.envoy.delivery import Delivery, delivery
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.kube.kind import Document
from pwasm_compiler.kube.kubectl import Kubectl
from pwasm_compiler.kube.proxies import Pod, filter_name, proxies_of
from pwasm_compiler.kube.resources import kind_of

POLL_SECONDS = 1.0
MOST = 3
"""How many proxies are asked: each sends its whole configuration."""
State = Literal["taken", "received", "refused", "not yet", "not asked"]


_LOG = "kubectl logs POD -c CONTAINER | pwasm status --log -"
_SEE_LOG = f"Envoy refused the update and keeps the last good one; the reason is in its log: {_LOG}"
_NO_COUNT = f"it keeps no count of what it refuses (Istio's default), so if it accepted it is only in its log: {_LOG}"
_REFUSED_BEFORE = f"it has refused updates before, perhaps this one; see its log: {_LOG}"


@dataclass(frozen=True)
class Answer:
    """What one proxy made of the filter; `detail` is Envoy's reason, or why it could not be asked."""

    pod: str
    state: State
    detail: str = ""


@dataclass
class Watch:
    """The proxies of one resource, with what they had before; `trouble` says why none can be asked."""

    name: str = ""
    selected: int = 0
    """How many running proxies the resource selects; at most `MOST` are asked."""
    ports: dict[Pod, int] = field(default_factory=dict)
    before: dict[Pod, Delivery] = field(default_factory=dict)
    unreachable: dict[Pod, str] = field(default_factory=dict)
    trouble: str = ""


@contextmanager
def watch(kubectl: Kubectl, document: Document) -> Iterator[Watch]:
    """Forwards a port to each proxy that the resource selects, and asks it, while nothing has changed yet.

    Whatever is not possible is said in the result: a user who may deploy may not be allowed to ask proxies.
    """
    kind, found = kind_of(document), Watch(filter_name(document))
    with ExitStack() as stack:
        if not found.name or kind.admin_port is None:
            found.trouble = f"the proxies of {kind} cannot be asked; see: pwasm status"
            yield found
            return
        try:
            pods = proxies_of(kubectl, document)
        except PwasmError as error:
            found.trouble = _one_line(error)
            pods = []
        found.selected = len(pods)
        for pod in pods[:MOST]:
            try:
                port = stack.enter_context(kubectl.forward(pod.name, pod.namespace, kind.admin_port))
                found.before[pod] = _ask(port, found.name)
                found.ports[pod] = port
            except PwasmError as error:
                found.unreachable[pod] = _one_line(error)
        yield found


def answers(found: Watch, *, changed: bool, seconds: float) -> list[Answer]:
    """Ask each proxy until it has taken or refused the filter; `changed`: a new version is to be expected."""
    end = time.monotonic() + seconds
    told = {pod: Answer(str(pod), "not asked", why) for pod, why in found.unreachable.items()}
    while True:
        told |= {pod: _answer(pod, found, changed) for pod in found.ports if _is_open(told, pod)}
        if time.monotonic() >= end or not any(_is_open(told, pod) for pod in found.ports):
            return list(told.values())
        time.sleep(POLL_SECONDS)


def _is_open(told: Mapping[Pod, Answer], pod: Pod) -> bool:
    return pod not in told or told[pod].state == "not yet"


def _answer(pod: Pod, found: Watch, changed: bool) -> Answer:
    try:
        now = _ask(found.ports[pod], found.name)
    except PwasmError as error:
        return Answer(str(pod), "not asked", _one_line(error))
    before = found.before[pod]
    if changed and (now.refusals or 0) > (before.refusals or 0):
        return Answer(str(pod), "refused", now.error or _SEE_LOG)
    if now.error and not (changed and now.error == before.error):
        return Answer(str(pod), "refused", now.error)
    if now.is_new_since(before if changed else None):
        if now.by_ecds and (now.refusals is None or (now.refusals and not changed)):
            return Answer(str(pod), "received", _NO_COUNT if now.refusals is None else _REFUSED_BEFORE)
        return Answer(str(pod), "taken")
    unchanged = "it still has the version of before" if now.version is not None else ""
    return Answer(str(pod), "not yet", f"the last update before was refused: {now.error}" if now.error else unchanged)


def _ask(port: int, name: str) -> Delivery:
    url = f"http://127.0.0.1:{port}"
    return delivery(admin.config_dump(url), admin.stats(url), name)


def _one_line(error: PwasmError) -> str:
    return " ".join(f"{error.what}: {error.why}".split()) if error.why else error.what
