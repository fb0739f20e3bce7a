"""Registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pwasm
from pwasm import entrypoint
from pwasm._abi import CALLBACKS
from pwasm._dispatch.callbacks import callbacks_used
from pwasm._dispatch.exports import callbacks_written, ignores_request_headers
from pwasm.entrypoint import registration_of
from pwasm.testing import HostEmulator


class Http(pwasm.HttpContext):
    pass


SETTERS: list[tuple[Any, Any]] = [
    (pwasm.set_vm_context, pwasm.VMContext),
    (pwasm.set_plugin_context, pwasm.PluginContext),
    (pwasm.set_http_context, pwasm.HttpContext),
    (pwasm.set_tcp_context, pwasm.TcpContext),
]


@pytest.mark.parametrize(("setter", "base"), SETTERS)
def test_returns_what_it_was_given_so_it_decorates(setter: Any, base: Any) -> None:
    cls = type("Mine", (base,), {})
    assert setter(cls) is cls


@pytest.mark.parametrize(("setter", "base"), SETTERS)
def test_twice_names_both_places(setter: Any, base: Any) -> None:
    setter(type("First", (base,), {}))
    with pytest.raises(pwasm.RegistrationError, match=r"First \(.*test_entrypoint.py:\d+\) and Second \(.*py:\d+\)"):
        setter(type("Second", (base,), {}))


@pytest.mark.parametrize(("setter", "base"), SETTERS)
@pytest.mark.parametrize("wrong", [None, 1, "x", object, int])
def test_wrong_type_names_the_argument(setter: Any, base: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"{setter.__name__.removeprefix('set_')}: "):
        setter(wrong)


def test_an_instance_is_refused_with_a_hint() -> None:
    wrong: Any = Http()
    with pytest.raises(TypeError, match="pass the class, not an instance"):
        pwasm.set_http_context(wrong)


def test_nothing_registered() -> None:
    with pytest.raises(pwasm.RegistrationError, match="no filter class is registered\nhint: "):
        entrypoint.registration()
    with pytest.raises(pwasm.RegistrationError):
        HostEmulator()


def test_registered_classes_are_used() -> None:
    pwasm.set_http_context(Http)
    assert HostEmulator().request().status == 200


async def _async(self: object, *args: object) -> None: ...


def _generator(self: object, *args: object) -> Any:
    yield


async def _async_generator(self: object, *args: object) -> Any:
    yield


@pytest.mark.parametrize("function", [_generator, _async_generator])
def test_callbacks_that_are_generators(function: Any) -> None:
    with pytest.raises(TypeError, match=r"http_context: Bad.on_http_request_body contains `yield`"):
        pwasm.set_http_context(type("Bad", (pwasm.HttpContext,), {"on_http_request_body": function}))


AT_ONCE: list[tuple[Callable[..., Any], type, str]] = [
    (pwasm.set_vm_context, pwasm.VMContext, "on_vm_start"),
    (pwasm.set_vm_context, pwasm.VMContext, "new_plugin_context"),
    (pwasm.set_plugin_context, pwasm.PluginContext, "on_plugin_start"),
    (pwasm.set_plugin_context, pwasm.PluginContext, "on_plugin_done"),
    (pwasm.set_plugin_context, pwasm.PluginContext, "new_http_context"),
    (pwasm.set_http_context, pwasm.HttpContext, "on_http_stream_done"),
    (pwasm.set_tcp_context, pwasm.TcpContext, "on_stream_done"),
    (pwasm.set_tcp_context, pwasm.TcpContext, "on_upstream_data"),
    (pwasm.set_http_context, pwasm.HttpContext, "__del__"),
]


@pytest.mark.parametrize(("register", "base", "method"), AT_ONCE, ids=[row[2] for row in AT_ONCE])
def test_callbacks_that_cannot_wait(register: Callable[..., Any], base: type, method: str) -> None:
    with pytest.raises(TypeError, match=rf"Bad.{method} cannot be `async def`: "):
        register(type("Bad", (base,), {method: _async}))


def test_the_other_callbacks_may_wait() -> None:
    methods = {name: _async for name in vars(pwasm.HttpContext) if name.startswith("on_http_re")}
    assert pwasm.set_http_context(type("Good", (pwasm.HttpContext,), methods))


def test_on_error_is_checked() -> None:
    with pytest.raises(ValueError, match="on_error must be 'fail_closed' or 'fail_open', not 'open'"):
        pwasm.set_http_context(type("Bad", (pwasm.HttpContext,), {"on_error": "open"}))


class WithId(pwasm.HttpContext):
    def __init__(self, context_id: int) -> None:
        assert not hasattr(self, "plugin")
        self.seen = context_id


class WithDefault(pwasm.HttpContext):
    def __init__(self, context_id: int = -1) -> None:
        self.seen = context_id


def make_with_id(context_id: int) -> WithId:
    return WithId(context_id)


def make_tcp() -> pwasm.TcpContext:
    return Tcp()


@pytest.mark.parametrize(
    ("factory", "seen"),
    [(WithId, 2), (WithDefault, -1), (make_with_id, 2), (lambda: WithDefault(7), 7)],
)
def test_who_gets_the_context_id(factory: Any, seen: int) -> None:
    made: list[Any] = []

    def remember(self: Any) -> None:
        made.append(self)

    WithId.on_http_stream_done = WithDefault.on_http_stream_done = remember  # type: ignore[method-assign]
    pwasm.set_http_context(factory)
    HostEmulator().request()
    assert [(context.seen, context.context_id, type(context.plugin)) for context in made] == [
        (seen, 2, pwasm.PluginContext)
    ]


def test_an_init_nobody_can_call() -> None:
    class Needy(pwasm.HttpContext):
        def __init__(self, a: int, b: int) -> None: ...

    with pytest.raises(TypeError, match="Needy requires arguments other than context_id"):
        pwasm.set_http_context(Needy)


ORDER = tuple(row.name for row in CALLBACKS)
ALWAYS = (
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_delete",
)


FOR_RULES = "proxy_on_request_headers"
"""Exported for every HTTP filter: rules choose a configuration in it."""


class Response(pwasm.HttpContext):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None: ...


class Done(pwasm.PluginContext):
    def on_plugin_done(self) -> bool:
        return True


class Tcp(pwasm.TcpContext):
    def on_stream_done(self) -> None: ...


class Log(pwasm.HttpContext):
    def on_http_stream_done(self) -> None: ...


class Chooses(pwasm.PluginContext):
    def new_http_context(self, context_id: int) -> pwasm.HttpContext:
        return Response()


class Started(pwasm.VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> bool:
        return True


@pytest.mark.parametrize(
    ("classes", "more"),
    [
        ((Http,), (FOR_RULES,)),
        ((Started, Http), (FOR_RULES,)),
        ((Response,), (FOR_RULES, "proxy_on_response_headers")),
        ((Response, Done), (FOR_RULES, "proxy_on_response_headers", "proxy_on_done")),
        ((Tcp,), ("proxy_on_new_connection", "proxy_on_log")),
        ((Log,), ("proxy_on_request_headers", "proxy_on_log")),
        (
            (Chooses,),
            (
                "proxy_on_request_headers",
                "proxy_on_request_body",
                "proxy_on_request_trailers",
                "proxy_on_response_headers",
                "proxy_on_response_body",
                "proxy_on_response_trailers",
                "proxy_on_log",
            ),
        ),
    ],
)
def test_only_what_is_overridden_is_exported(classes: tuple[type, ...], more: tuple[str, ...]) -> None:
    used = callbacks_used(registration_of(*classes))
    assert set(used) == {*ALWAYS, *more}
    assert list(used) == [name for name in ORDER if name in used]


@pytest.mark.parametrize(("cls", "ignores"), [(Http, True), (Response, True), (Log, False), (Tcp, True)])
def test_the_shim_ignores_request_headers_that_nothing_needs(cls: type, ignores: bool) -> None:
    assert ignores_request_headers(registration_of(cls)) is ignores


def test_a_factory_exports_every_callback_of_its_kind() -> None:
    pwasm.set_tcp_context(make_tcp)
    used = callbacks_used(entrypoint.registration())
    assert {"proxy_on_new_connection", "proxy_on_upstream_connection_close", "proxy_on_log"} <= set(used)
    assert "proxy_on_request_headers" not in used


class ChoosesPlugin(pwasm.VMContext):
    def new_plugin_context(self, context_id: int) -> pwasm.PluginContext:
        return Chooses()


def test_a_vm_context_that_makes_plugins_exports_everything() -> None:
    assert callbacks_used(registration_of(ChoosesPlugin)) == ORDER


class OfTwoBases(Response):
    """Its own callback, and that of a base which its author wrote too; `on_error` is none."""

    on_error = "fail_open"

    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pass


def test_what_the_author_wrote_is_told_by_class() -> None:
    """Not the callbacks that the module exports for it; a factory may return any class."""
    entrypoint.set_vm_context(Started)
    entrypoint.set_plugin_context(Chooses)
    entrypoint.set_http_context(OfTwoBases)
    entrypoint.set_http_context(OfTwoBases, root_id="other")
    entrypoint.set_tcp_context(make_tcp)
    assert callbacks_written(entrypoint.registration()) == {
        "Started": ["on_vm_start"],
        "Chooses": ["new_http_context"],
        "OfTwoBases": ["on_http_request_headers", "on_http_response_headers"],
        "make_tcp": None,
        "OfTwoBases (root_id 'other')": ["on_http_request_headers", "on_http_response_headers"],
    }
    assert callbacks_written(registration_of(pwasm.HttpContext)) == {"HttpContext": []}
