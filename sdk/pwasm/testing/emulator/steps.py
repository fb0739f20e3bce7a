"""The plugin side in plain Python: the dispatcher, with the checks of a build and the step budget of a VM.

The classes of contexts that factories create are checked when they are first seen; a build checks all classes.

The step budget raises the same exception as in Wasm, after about the same number of steps. It uses `sys.settrace`,
since the Python that runs a test may be too old for `sys.monitoring`. There are two differences: the SDK's own calls
take no steps, and Python stops tracing when the exception is raised, so a filter that continues to loop afterwards is
not interrupted again; the time limit of the test does that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from pwasm import _abi
from pwasm._dispatch.callbacks import Dispatcher
from pwasm._names import spelling
from pwasm._names.words import BASES
from pwasm._protocols import Host
from pwasm._stream import budget
from pwasm._stream.phases import PHASES
from pwasm._stream.records import Root, Stream
from pwasm._stream.registration import Registration
from pwasm.errors import StepBudgetExceeded
from pwasm.types import HttpContext


def plugin_of(registration: Registration, host: Host, *, hold_headers: bool = False) -> Dispatcher:
    """The plugin side of a registration, with its step budget; see `HostEmulator` for `hold_headers`."""
    plugin = _Checking(registration, host)
    plugin.hold_headers = hold_headers
    if registration.step_budget:
        called_by(lambda callback: _limited(callback, registration.step_budget), plugin)
    return plugin


def called_by(wrapped: Callable[[Callable[..., Any]], Callable[..., Any]], plugin: Dispatcher) -> Dispatcher:
    """The plugin, whose callbacks are all wrapped from now on."""
    for callback in _abi.CALLBACKS:
        setattr(plugin, callback.name, wrapped(getattr(plugin, callback.name)))
    return plugin


class _Checking(Dispatcher):
    """Fails tests whose context classes have mistakes in their names."""

    hold_headers = False
    """Whether streams may be held by their headers."""

    def _open_for(self, root: Root, context_id: int, stream: Stream | None = None) -> Stream:
        stream = super()._open_for(root, context_id, stream)
        _check(stream.context)
        return stream

    def hears(self, export: str, context_id: int) -> bool:
        """Whether the class of a stream has this callback."""
        stream = self._streams.get(context_id)
        method = PHASES[export].method
        return (
            stream is not None
            and stream.context is not None
            and getattr(type(stream.context), method, None) is not getattr(HttpContext, method)
        )

    def _create_root(self, context_id: int) -> None:
        super()._create_root(context_id)
        plugin = self._roots[context_id].context
        _check(plugin)
        _check(getattr(plugin, "vm", None))


def _check(context: object) -> None:
    if isinstance(context, BASES):
        spelling.check(type(context))


def _limited(callback: Callable[..., Any], steps: int) -> Callable[..., Any]:
    def limited(*args: Any) -> Any:
        before, renew = sys.gettrace(), budget.renew
        counter = _Counter(steps)
        budget.renew = counter.renew
        sys.settrace(counter.called)
        try:
            return callback(*args)
        finally:
            sys.settrace(before)
            budget.renew = renew

    return limited


class _Counter:
    """Counts the steps of one callback."""

    def __init__(self, steps: int) -> None:
        self._steps = self._left = steps

    def renew(self) -> None:
        self._left = self._steps

    def called(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        """A function is called, or a generator resumed."""
        if not budget.may_interrupt(frame.f_code):
            return None
        self._step()
        last = frame.f_lineno

        def reached(frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
            nonlocal last
            if event == "line":
                if frame.f_lineno <= last:  # a backward jump, possibly to the same line
                    self._step()
                last = frame.f_lineno
            return reached

        return reached

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise StepBudgetExceeded(f"more than {self._steps} steps in one callback")
