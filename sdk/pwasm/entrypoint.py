"""Registering a filter's classes: `set_http_context` and its siblings.

Each takes a class, or any callable that returns a context, and returns its argument, so it also works as a decorator:

    @pwasm.set_http_context
    class AddHeader(pwasm.HttpContext): ...

Registration happens when the filter's module is imported, which `pwasm build` does at build time. A module registers at
most one context of each kind, or one of each kind per `root_id`; in the latter case it contains several filters, and
`root_id` in Envoy's configuration selects one. If both an HTTP and a TCP context are registered, the HTTP context is
used, as in the Go SDK, since Envoy does not tell which kind a new stream is; a PluginContext that overrides
`new_http_context` and `new_tcp_context` can decide.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType

from ._config.binding import type_for
from ._dispatch.declarations import traits_of
from ._stream.current import current
from ._stream.registration import Entry, Registration
from ._typing import Any, NoReturn, TypeVar
from .errors import RegistrationError
from .types import HttpContext, PluginContext, TcpContext, VMContext

_VM = TypeVar("_VM", bound=Callable[..., VMContext])
_Plugin = TypeVar("_Plugin", bound=Callable[..., PluginContext])
_Http = TypeVar("_Http", bound=Callable[..., HttpContext])
_Tcp = TypeVar("_Tcp", bound=Callable[..., TcpContext])

BASES: dict[str, type] = {"vm": VMContext, "plugin": PluginContext, "http": HttpContext, "tcp": TcpContext}

_HOUR = 3_600_000

_CO_VARARGS, _CO_GENERATOR, _CO_COROUTINE = 0x04, 0x20 | 0x200, 0x80 | 0x100

# Callbacks that cannot be `async def`, and the reason.
_SYNCHRONOUS = {
    **dict.fromkeys(
        ("on_vm_start", "on_plugin_start", "on_plugin_done"), "Envoy needs its result immediately, so it cannot wait"
    ),
    **dict.fromkeys(
        ("new_plugin_context", "new_http_context", "new_tcp_context"), "Envoy needs the context immediately"
    ),
    **dict.fromkeys(("on_http_stream_done", "on_stream_done"), "the stream is over, so nothing can be awaited"),
    "__del__": "nothing would await it",
    "on_upstream_data": "Envoy cannot resume upstream data once it has been paused",
}


def set_vm_context(vm_context: _VM) -> _VM:
    """Register the class (or factory) of the VM context.

    May be called while the filter is imported.

    Raises:
        TypeError: the argument is neither a class derived from `VMContext` nor a callable, or a callback that must not
            be `async def` is one.
        RegistrationError: a VM context is already registered; or a name in the class nearly matches one of the SDK's,
            or a callback cannot accept the arguments that Envoy passes (see `pwasm.types`).
    """
    return _register("vm", vm_context)


def set_plugin_context(plugin_context: _Plugin, *, root_id: str = "") -> _Plugin:
    """Register the class (or factory) of plugin contexts; errors as in `set_vm_context`.

    May be called while the filter is imported.

    A VMContext that overrides `new_plugin_context` takes precedence, unless it returns None.

    Args:
        plugin_context: the class or factory.
        root_id: use it only for plugins with this `root_id` in Envoy's configuration. Contexts registered without a
            root id are used for all other plugins, and for kinds that have no registration for the root id. If nothing
            is registered for a root id, Envoy rejects the configuration.
    """
    return _register("plugin", plugin_context, root_id)


def set_http_context(http_context: _Http, *, root_id: str = "") -> _Http:
    """Register the class (or factory) of HTTP contexts; `root_id` as in `set_plugin_context`.

    May be called while the filter is imported.

    A PluginContext that overrides `new_http_context` takes precedence. Errors as in `set_vm_context`.
    """
    return _register("http", http_context, root_id)


def set_tcp_context(tcp_context: _Tcp, *, root_id: str = "") -> _Tcp:
    """Register the class (or factory) of TCP contexts; `root_id` as in `set_plugin_context`.

    May be called while the filter is imported.

    A PluginContext that overrides `new_tcp_context` takes precedence. Errors as in `set_vm_context`.
    """
    return _register("tcp", tcp_context, root_id)


def set_step_budget(steps: int) -> None:
    """Raise `StepBudgetExceeded` in a callback that takes more than `steps` steps, so that it cannot hang the worker.

    May be called while the filter is imported.

    A step is a call of a Python function or a jump; each iteration of a loop takes one or more. The exception does not
    derive from `Exception`, and if it is caught, it is raised again at the next step. As after every exception, the
    request is answered with 500, or handled as `on_error` says. Without this call there is no limit, as in Envoy
    itself.

    Counting makes Python code slower. Loops inside C code (`re`, `sorted`, `sum` of a range) take no steps.

    Args:
        steps: more than any legitimate request needs; 1,000,000 take about 0.3 s in Envoy.

    Raises:
        TypeError: `steps` is not an int.
        ValueError: `steps` is not positive, or 2**63 or more.
    """
    if type(steps) is not int:
        raise TypeError(f"steps must be int, not {type(steps).__name__}")
    if not 0 < steps < 2**63:
        raise ValueError(f"steps must be positive and below 2**63, not {steps}")
    current.registration = current.registration._replace(step_budget=steps)


def set_time_budget(milliseconds: int) -> None:
    """Raise `TimeBudgetExceeded` in a callback that takes more than `milliseconds`, so that it cannot hang the worker.

    May be called while the filter is imported.

    Without this call a callback may take 2,000 ms. The budget covers Python code, and of the loops inside C those of
    regular expressions, of large integers and of iterators without an end; docs/reliability.md lists what is not
    covered. The exception does not derive from `Exception`, and if it is caught, it is raised again soon after. As
    after every exception, the request is answered with 500, or handled as `on_error` says.

    The budget is of real time in the built module; in plain Python, tests that hang are stopped by `--timeout`.

    Args:
        milliseconds: more than any legitimate request needs; 0 for no limit, as in Envoy itself.

    Raises:
        TypeError: `milliseconds` is not an int.
        ValueError: `milliseconds` is negative, or more than an hour.
    """
    if type(milliseconds) is not int:
        raise TypeError(f"milliseconds must be int, not {type(milliseconds).__name__}")
    if not 0 <= milliseconds <= _HOUR:
        raise ValueError(f"milliseconds must be from 0 to {_HOUR}, not {milliseconds}")
    current.registration = current.registration._replace(time_budget=milliseconds)


def registration() -> Registration:
    """The current registration.

    Raises:
        RegistrationError: no class is registered.
    """
    if current.registration.empty:
        raise RegistrationError(
            "no filter class is registered",
            "call pwasm.set_http_context(YourFilter) (or its vm, plugin or tcp sibling) at the end of the module",
        )
    return current.registration


def clear_registration() -> None:
    """Remove all registrations; for tests that import several filters."""
    current.registration = Registration()


def registration_of(*contexts: Callable[..., Any]) -> Registration:
    """A registration of these classes, each as the kind it derives from; the global registration stays as it is."""
    made = Registration()
    for context in contexts:
        kinds = [kind for kind, base in BASES.items() if isinstance(context, type) and issubclass(context, base)]
        if not kinds:
            raise TypeError(f"{context!r} does not derive from VMContext, PluginContext, HttpContext or TcpContext")
        made = _with_entry(made, kinds[0], context, "")
    return made


_F = TypeVar("_F", bound=Callable[..., Any])


def _register(kind: str, context: _F, root_id: str = "") -> _F:
    if not isinstance(root_id, str):
        raise TypeError(f"root_id must be str, not {type(root_id).__name__}")
    frame = sys._getframe(2)
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    registered = current.registration
    if not root_id:
        current.registration = _with_entry(registered, kind, context, where, code=frame.f_code)
        return context
    named = dict(registered.named)
    named[root_id] = _with_entry(named.get(root_id, Registration()), kind, context, where, root_id, frame.f_code)
    current.registration = registered._replace(named=tuple(named.items()))
    return context


def _with_entry(
    registered: Registration,
    kind: str,
    context: Callable[..., Any],
    where: str,
    root_id: str = "",
    code: CodeType | None = None,
) -> Registration:
    argument = f"{kind}_context"
    base = BASES[kind]
    if isinstance(context, type):
        if not issubclass(context, base):
            _reject(argument, f"{context.__qualname__} does not derive from pwasm.{base.__name__}")
        _check_names(context, code)
        _check_class(argument, context, base)
        type_for(context)
    elif not callable(context):
        hint = ": pass the class, not an instance" if isinstance(context, base) else ""
        _reject(argument, f"must be a class derived from pwasm.{base.__name__} or a callable, not {context!r}{hint}")
    if kind != "tcp":
        from ._config import rules  # noqa: F401  # a module that may have an HTTP filter may be given rules
    if kind == "plugin" and not isinstance(context, type):
        from . import config  # noqa: F401  # its class is known only at run time, when nothing can be imported
    takes_context_id = _takes_context_id(argument, context)
    if takes_context_id and kind == "vm" and isinstance(context, type):
        _reject(argument, f"{context.__qualname__}.__init__ requires an argument, but a VM has no context id")
    entry = Entry(context, takes_context_id, where)
    before: Entry | None = getattr(registered, kind)
    if before is not None:
        of_root = f" for root_id {root_id!r}" if root_id else ""
        raise RegistrationError(
            f"two {kind} contexts are registered{of_root}: {before.name} and {entry.name}",
            "a module registers at most one context of each kind; to choose at run time, override new_plugin_context, "
            "new_http_context or new_tcp_context, or register them for different root_ids",
        )
    return registered._replace(**{kind: entry})  # type: ignore[arg-type]


def _reject(argument: str, problem: str) -> NoReturn:
    raise TypeError(f"{argument}: {problem}")


def _check_names(context: type, code: CodeType | None) -> None:
    try:
        from ._names import spelling
    except ImportError:
        return  # in a VM, where no further class is registered
    spelling.check(context, code)


def _check_class(argument: str, context: type, base: type) -> None:
    traits_of(context)
    for name in (*vars(base), "__del__"):
        code = getattr(getattr(context, name, None), "__code__", None)
        if not name.startswith(("on_", "new_", "__del__")) or code is None:
            continue
        if code.co_flags & _CO_COROUTINE and name in _SYNCHRONOUS:
            _reject(argument, f"{context.__qualname__}.{name} cannot be `async def`: {_SYNCHRONOUS[name]}")
        if code.co_flags & _CO_GENERATOR:
            _reject(argument, f"{context.__qualname__}.{name} contains `yield`; a callback returns an Action")
    on_error = getattr(context, "on_error", "fail_closed")
    if on_error not in {"fail_closed", "fail_open"}:
        raise ValueError(
            f"{argument}: {context.__qualname__}.on_error must be 'fail_closed' or 'fail_open', not {on_error!r}"
        )


def _takes_context_id(argument: str, context: Callable[..., Any]) -> bool:
    """Whether to pass the context id: to a Python function (or `__init__`) with exactly one required parameter.

    `inspect.signature` would give the same answer, but freeze `inspect` and its imports into every module.
    """
    function: Any = context.__init__ if isinstance(context, type) else context  # type: ignore[misc]
    code = getattr(function, "__code__", None)
    if code is None:  # a class without __init__, or a callable not written in Python: Go's rule for the latter
        return not isinstance(context, type)
    bound = isinstance(context, type) or hasattr(function, "__self__")
    required = code.co_argcount - len(function.__defaults__ or ()) - bound
    keyword_only = set(code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]) - set(
        function.__kwdefaults__ or ()
    )
    if required > 1 or keyword_only:
        _reject(
            argument, f"{context.__qualname__} requires arguments other than context_id, which the SDK does not pass"
        )
    return bool(required == 1)
