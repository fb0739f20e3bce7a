"""Registering a filter's classes: `set_http_context` and its siblings.

Each takes a class, or any callable that returns a context, and returns it again, so each is a decorator too:

    @pwasm.set_http_context
    class AddHeader(pwasm.HttpContext): ...

Registration happens when the filter's module is imported, which `pwasm build` does at build time; one module
registers one of each kind at most, or one of each kind for each `root_id`: then it holds several filters, and
`root_id` in Envoy's configuration chooses. With both an HTTP and a TCP context registered the HTTP one is used, as in
the Go SDK, since Envoy does not say what a new stream is; a PluginContext that overrides `new_http_context` and
`new_tcp_context` can decide.
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

_CO_VARARGS, _CO_GENERATOR, _CO_COROUTINE = 0x04, 0x20 | 0x200, 0x80 | 0x100

# Callbacks that cannot be `async def`, and why.
_AT_ONCE = {
    **dict.fromkeys(
        ("on_vm_start", "on_plugin_start", "on_plugin_done"), "Envoy needs its answer at once, so it cannot wait"
    ),
    **dict.fromkeys(("new_plugin_context", "new_http_context", "new_tcp_context"), "the context is needed at once"),
    **dict.fromkeys(("on_http_stream_done", "on_stream_done"), "the stream is over, and nothing can be waited for"),
    "__del__": "nobody waits for it",
    "on_upstream_data": "Envoy cannot resume what comes from upstream once it was paused",
}


def set_vm_context(vm_context: _VM) -> _VM:
    """Register the class (or factory) of the VM context.

    May be called while the filter is imported.

    Raises:
        TypeError: not a class derived from `VMContext` and not a callable, or a callback is `async def`.
        RegistrationError: a VM context is registered already; or a name in the class is nearly one of the SDK's, or a
            callback cannot take what Envoy passes (`pwasm.types` has the rule).
    """
    return _register("vm", vm_context)


def set_plugin_context(plugin_context: _Plugin, *, root_id: str = "") -> _Plugin:
    """Register the class (or factory) of plugin contexts; errors as in `set_vm_context`.

    May be called while the filter is imported.

    A VMContext that overrides `new_plugin_context` wins, unless it returns None.

    Args:
        plugin_context: the class or factory.
        root_id: only for plugins with this `root_id` in Envoy's configuration; what is registered without one is for
            the others, and for the kinds that are not registered for a root id. A root id for which there is nothing
            makes Envoy reject the configuration.
    """
    return _register("plugin", plugin_context, root_id)


def set_http_context(http_context: _Http, *, root_id: str = "") -> _Http:
    """Register the class (or factory) of HTTP contexts; `root_id` as in `set_plugin_context`.

    May be called while the filter is imported.

    A PluginContext that overrides `new_http_context` wins. Errors as in `set_vm_context`.
    """
    return _register("http", http_context, root_id)


def set_tcp_context(tcp_context: _Tcp, *, root_id: str = "") -> _Tcp:
    """Register the class (or factory) of TCP contexts; `root_id` as in `set_plugin_context`.

    May be called while the filter is imported.

    A PluginContext that overrides `new_tcp_context` wins. Errors as in `set_vm_context`.
    """
    return _register("tcp", tcp_context, root_id)


def set_step_budget(steps: int) -> None:
    """Let a callback that takes more than `steps` steps raise `StepBudgetExceeded`, so that the worker lives.

    May be called while the filter is imported.

    A step is a call of a Python function or a jump; each round of a loop takes one or more. The exception is no
    `Exception`, and comes again at the next step when it was caught. As after every exception the request is answered
    with 500, or what `on_error` says. Without this call there is no limit, as in Envoy itself.

    Counting makes Python code slower. What loops inside C (`re`, `sorted`, `sum` of a range) takes no steps.

    Args:
        steps: more than any good request needs; 1,000,000 are about 0.3 s in Envoy.

    Raises:
        TypeError: `steps` is not an int.
        ValueError: `steps` is not positive, or 2**63 or more.
    """
    if type(steps) is not int:
        raise TypeError(f"steps must be int, not {type(steps).__name__}")
    if not 0 < steps < 2**63:
        raise ValueError(f"steps must be positive and below 2**63, not {steps}")
    current.registration = current.registration._replace(step_budget=steps)


def registration() -> Registration:
    """What is registered now.

    Raises:
        RegistrationError: nothing is.
    """
    if current.registration.empty:
        raise RegistrationError(
            "no filter class is registered",
            "call pwasm.set_http_context(YourFilter) (or its vm, plugin or tcp sibling) at the end of the module",
        )
    return current.registration


def clear_registration() -> None:
    """Forget what is registered; for tests that import several filters."""
    current.registration = Registration()


def registration_of(*contexts: Callable[..., Any]) -> Registration:
    """A registration of these classes, each under the kind it derives from; nothing is registered globally."""
    made = Registration()
    for context in contexts:
        kinds = [kind for kind, base in BASES.items() if isinstance(context, type) and issubclass(context, base)]
        if not kinds:
            raise TypeError(f"{context!r} derives from none of VMContext, PluginContext, HttpContext, TcpContext")
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
    if kind == "plugin" and not isinstance(context, type):
        from . import config  # noqa: F401  # the class is known at run time only, when nothing can be imported
    takes_context_id = _takes_context_id(argument, context)
    if takes_context_id and kind == "vm" and isinstance(context, type):
        _reject(argument, f"{context.__qualname__}.__init__ needs an argument, but a VM has no context id")
    entry = Entry(context, takes_context_id, where)
    before: Entry | None = getattr(registered, kind)
    if before is not None:
        of_root = f" for root_id {root_id!r}" if root_id else ""
        raise RegistrationError(
            f"two {kind} contexts are registered{of_root}: {before.name} and {entry.name}",
            "a module has one of each kind; to choose at run time, override new_plugin_context, new_http_context or "
            "new_tcp_context, or register them for different root_ids",
        )
    return registered._replace(**{kind: entry})  # type: ignore[arg-type]


def _reject(argument: str, problem: str) -> NoReturn:
    raise TypeError(f"{argument}: {problem}")


def _check_names(context: type, code: CodeType | None) -> None:
    try:
        from ._names import spelling
    except ImportError:
        return  # in a VM, where nothing is registered any more
    spelling.check(context, code)


def _check_class(argument: str, context: type, base: type) -> None:
    traits_of(context)
    for name in (*vars(base), "__del__"):
        code = getattr(getattr(context, name, None), "__code__", None)
        if not name.startswith(("on_", "new_", "__del__")) or code is None:
            continue
        if code.co_flags & _CO_COROUTINE and name in _AT_ONCE:
            _reject(argument, f"{context.__qualname__}.{name} cannot be `async def`: {_AT_ONCE[name]}")
        if code.co_flags & _CO_GENERATOR:
            _reject(argument, f"{context.__qualname__}.{name} contains `yield`; a callback returns an Action")
    on_error = getattr(context, "on_error", "fail_closed")
    if on_error not in {"fail_closed", "fail_open"}:
        raise ValueError(
            f"{argument}: {context.__qualname__}.on_error must be 'fail_closed' or 'fail_open', not {on_error!r}"
        )


def _takes_context_id(argument: str, context: Callable[..., Any]) -> bool:
    """Whether to pass the context id: a Python function (or `__init__`) with exactly one required parameter wants it.

    `inspect.signature` would say the same, for the price of freezing `inspect` and all it imports into every module.
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
        _reject(argument, f"{context.__qualname__} needs arguments other than context_id, and nobody passes them")
    return bool(required == 1)
