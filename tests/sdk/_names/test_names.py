"""Names in a filter's classes that look like the SDK's and are not, and callbacks that cannot be called."""

from __future__ import annotations

import functools
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pwasm
from pwasm import HttpContext, PluginContext, RegistrationError, TcpContext, VMContext, go
from pwasm._names import functions, spelling
from pwasm._names.words import BASES, SETTINGS, callbacks_of
from pwasm.testing import HostEmulator
from pwasm.testing.worlds.filters import import_filter
from tests.support.paths import ROOT

NOTHING_CALLS_IT = "nothing calls it here"


def refusal(*classes: type) -> str:
    """The error of registering these classes."""
    with pytest.raises(RegistrationError) as caught:
        HostEmulator(*classes)
    return str(caught.value)


def registered(tmp_path: Path, text: str) -> Any:
    (tmp_path / "filter.py").write_text("import functools\n\nimport pwasm\n" + textwrap.dedent(text))
    return import_filter(tmp_path)


def method(self: Any, *args: Any) -> None:
    """Anything."""


def shown(value: Any) -> str:
    """A part of a test's id."""
    return str(getattr(value, "__name__", value))


# Base, a name, and what is said of it. The first of them are those of the request for this check.
STRANGERS = [
    (HttpContext, "on_http_request_heders", "callback of HttpContext; did you mean on_http_request_headers?"),
    (HttpContext, "on_http_request_header", "callback of HttpContext; did you mean on_http_request_headers?"),
    (HttpContext, "on_response_headers", "callback of HttpContext; did you mean on_http_response_headers?"),
    (HttpContext, "on_tick", f"is a callback of PluginContext, not of HttpContext: {NOTHING_CALLS_IT}"),
    # A letter: added, left out, exchanged, changed; in the first word, too.
    (HttpContext, "on_http_request_bodyy", "did you mean on_http_request_body?"),
    (HttpContext, "on_htp_response_body", "did you mean on_http_response_body?"),
    (HttpContext, "on_http_repsonse_trailers", "did you mean on_http_response_trailers?"),
    (HttpContext, "or_http_request_headers", "did you mean on_http_request_headers?"),
    (PluginContext, "on_tik", "did you mean on_tick?"),
    (PluginContext, "on_ticks", "did you mean on_tick?"),
    (PluginContext, "on_plugin_strat", "did you mean on_plugin_start?"),
    (PluginContext, "new_htp_context", "did you mean new_http_context?"),
    (TcpContext, "on_dowstream_data", "did you mean on_downstream_data?"),
    (VMContext, "on_vm_strat", "did you mean on_vm_start?"),
    # Other spellings.
    (HttpContext, "OnHttpRequestHeaders", "did you mean on_http_request_headers?"),
    (HttpContext, "onHttpRequestHeaders", "did you mean on_http_request_headers?"),
    (HttpContext, "onRequestBody", "did you mean on_http_request_body?"),
    (HttpContext, "on_HTTP_request_headers", "did you mean on_http_request_headers?"),
    (HttpContext, "onhttprequestheaders", "did you mean on_http_request_headers?"),
    (HttpContext, "proxy_on_request_headers", "did you mean on_http_request_headers?"),
    (HttpContext, "envoy_on_response", "did you mean on_http_response_"),
    (go.DefaultHttpContext, "OnHttpRequestHeader", "did you mean OnHttpRequestHeaders?"),
    (go.DefaultPluginContext, "OnTik", "did you mean OnTick?"),
    # Words of callbacks only.
    (HttpContext, "on_request", "did you mean on_http_request_"),
    (HttpContext, "on_request_heders", "did you mean on_http_request_headers?"),
    (HttpContext, "on_http_request", "did you mean on_http_request_"),
    (HttpContext, "on_http_response_data", "did you mean on_http_response_"),
    (HttpContext, "on_done", "did you mean on_http_stream_done?"),
    (HttpContext, "on_log", "did you mean on_http_stream_done?"),
    (TcpContext, "on_log", "did you mean on_stream_done?"),
    (TcpContext, "on_connect", "did you mean on_new_connection?"),
    (TcpContext, "on_downstream_connection_close", "did you mean on_downstream_close?"),
    (PluginContext, "on_configure", "did you mean on_plugin_start?"),
    (PluginContext, "on_queue", "did you mean on_queue_ready?"),
    (HttpContext, "on_queue", "did you mean PluginContext.on_queue_ready?"),
    # Of other contexts.
    (HttpContext, "on_stream_done", "is a callback of TcpContext, not of HttpContext"),
    (HttpContext, "on_plugin_start", "is a callback of PluginContext, not of HttpContext"),
    (TcpContext, "on_http_request_headers", "is a callback of HttpContext, not of TcpContext"),
    (PluginContext, "on_new_connection", "is a callback of TcpContext, not of PluginContext"),
    (VMContext, "on_tick", "is a callback of PluginContext, not of VMContext"),
]

SETTING_MISTAKES = [
    (HttpContext, "on_eror", "is not a setting of HttpContext; did you mean on_error?"),
    (HttpContext, "onError", "did you mean on_error?"),
    (TcpContext, "on_erorr", "did you mean on_error?"),
    (PluginContext, "on_eror", "did you mean on_error?"),
    (HttpContext, "buffer_requst_body", "did you mean buffer_request_body?"),
    (HttpContext, "buffer_response_bodies", "did you mean buffer_response_body?"),
    (HttpContext, "bufferRequestBody", "did you mean buffer_request_body?"),
    (HttpContext, "max_bdy_bytes", "did you mean max_body_bytes?"),
    (HttpContext, "edit_request_body", "did you mean edits_request_body?"),
    (HttpContext, "snapshot_request_header", "did you mean snapshot_request_headers?"),
    (HttpContext, "own_name", "did you mean own_names?"),
    (TcpContext, "max_body_bytes", "is a setting of HttpContext, not of TcpContext: it sets nothing here"),
    (PluginContext, "buffer_request_body", "is a setting of HttpContext, not of PluginContext"),
    (VMContext, "on_error", "is a setting of HttpContext and TcpContext and PluginContext, not of VMContext"),
]


@pytest.mark.parametrize(("base", "name", "said"), STRANGERS, ids=shown)
def test_a_method_that_looks_like_a_callback(base: type, name: str, said: str) -> None:
    text = refusal(type("Mine", (base,), {name: method}))
    assert text.startswith(f"{__file__}:{method.__code__.co_firstlineno}: Mine.{name} is "), text
    assert said in text
    assert text.endswith(f"\nhint: to keep a name as it is, declare it in its class: own_names = ({name!r},)")


@pytest.mark.parametrize(
    ("base", "name", "said"), SETTING_MISTAKES, ids=lambda value: getattr(value, "__name__", value)
)
def test_an_attribute_that_looks_like_a_setting(base: type, name: str, said: str) -> None:
    assert said in refusal(type("Mine", (base,), {name: True}))


@pytest.mark.parametrize(
    ("setter", "base"),
    [
        (pwasm.set_vm_context, VMContext),
        (pwasm.set_plugin_context, PluginContext),
        (pwasm.set_http_context, HttpContext),
        (pwasm.set_tcp_context, TcpContext),
    ],
)
def test_registering_says_so(setter: Any, base: type) -> None:
    with pytest.raises(RegistrationError, match=r"Mine\.on_nothing_at_al|Mine\.on_eror"):
        setter(type("Mine", (base,), {"on_eror": "fail_open", "on_vm_strat": method}))


# What must stay free, whether or not anything mentions it.
FREE = [
    *("on_answer", "on_message", "on_callout_done", "on_verdict", "on_error_page", "on_timeout", "on_denied"),
    *("once", "only", "online", "news", "new_cookie", "new_body_size", "newest", "entry", "chosen", "client"),
    *("variant", "checked", "operation", "edits", "limit", "max_bytes", "body", "headers", "tick", "plugins"),
    *("_on_http_request_header", "_on_tick", "__on_tick"),
    *("path_wait", "handle_request_headers", "log", "config", "configuration", "plugin", "request", "context_id"),
]


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_ordinary_names_are_free(base: type, name: str) -> None:
    assert HostEmulator(type("Mine", (base,), {name: method})).started


USES = """
class Mine(pwasm.HttpContext):
    on_request = ""
    edits_response = False

    def on_http_request_headers(self, num_headers, end_of_stream):
        self.on_request = "seen"
        call = [(":method", "GET"), (":path", "/"), (":authority", "a")]
        pwasm.dispatch_http_call("a", call, callback=self.on_http_call_response)
        [inner() for inner in [lambda: self.on_http_request_header("a")]]
        {more}

    def on_http_call_response(self, num_headers, body_size, num_trailers): ...

    def on_http_request_header(self, name): ...

    def on_tick(self): ...


pwasm.set_http_context(Mine)
"""


@pytest.mark.parametrize("more", ["self.on_tick()", 'getattr(self, f"on_{self.on_request}")'])
def test_a_helper_that_the_class_uses_is_free(tmp_path: Path, more: str) -> None:
    assert registered(tmp_path, USES.format(more=more)).http


def test_a_helper_that_the_class_does_not_use_is_not(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError) as caught:
        registered(tmp_path, USES.format(more=""))
    assert re.findall(r"Mine\.(\w+)", str(caught.value)) == ["on_tick"]


SUPER = """
class Mine(pwasm.HttpContext):
    def on_http_request_header(self, num_headers, end_of_stream):
        return super().on_http_request_header(num_headers, end_of_stream)


pwasm.set_http_context(Mine)
"""


def test_a_method_that_only_mentions_itself_is_used_by_nobody(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"Mine\.on_http_request_header is not a callback"):
        registered(tmp_path, SUPER)


def test_a_helper_that_the_module_uses_is_free_wherever_it_is_used(tmp_path: Path) -> None:
    text = """
    @pwasm.set_plugin_context
    class Plugin(pwasm.PluginContext):
        def on_request(self): ...

        def on_response(self): ...


    class Http(pwasm.HttpContext):
        def on_http_request_headers(self, num_headers, end_of_stream):
            self.plugin.on_request()
            answered(self.plugin)


    def answered(plugin):
        plugin.on_response()


    pwasm.set_http_context(Http)
    """
    assert registered(tmp_path, text).http


def test_a_helper_may_be_used_in_the_module_of_its_class(tmp_path: Path) -> None:
    """Which need not be the one that registers it."""
    (tmp_path / "contexts.py").write_text(
        "import pwasm\n\nclass Mine(pwasm.HttpContext):\n    def on_request(self): ...\n\n"
        "def run(context):\n    context.on_request()\n"
    )
    assert registered(tmp_path, "import contexts\n\npwasm.set_http_context(contexts.Mine)\n").http


def test_own_names_leave_a_name_free() -> None:
    class Mixin:
        own_names = ("on_tick",)

        def on_tick(self) -> None: ...

    class Mine(Mixin, HttpContext):
        own_names = ("on_eror",)
        on_eror = "mine"

    assert HostEmulator(Mine).started


def test_own_names_are_a_tuple() -> None:
    class Mine(HttpContext):
        own_names = "on_tick"

    with pytest.raises(TypeError, match=r"Mine\.own_names must be a tuple of names: \('on_tick',\)"):
        HostEmulator(Mine)


def test_own_names_excuse_no_callback() -> None:
    class Mine(HttpContext):
        own_names = ("on_http_request_headers",)

        def on_http_request_headers(self) -> None: ...  # type: ignore[override]

    assert "cannot be called" in refusal(Mine)


# --- callbacks that cannot be called ----------------------------------------------------------------------------------

HEADERS = "on_http_request_headers(self, num_headers: int, end_of_stream: bool)"
BAD_SHAPES: list[tuple[type, str, Any, str, str]] = [
    (HttpContext, "on_http_request_headers", lambda self, num_headers: None, "(self, num_headers)", HEADERS),
    (HttpContext, "on_http_request_headers", lambda self: None, "(self)", HEADERS),
    (HttpContext, "on_http_request_headers", lambda self, a, b, c: None, "(self, a, b, c)", HEADERS),
    (HttpContext, "on_http_request_headers", lambda self, a, *, b: None, "(self, a, *, b)", HEADERS),
    (HttpContext, "on_http_request_headers", lambda self, a, b, *, c: None, "(self, a, b, *, c)", HEADERS),
    (HttpContext, "on_http_request_headers", staticmethod(lambda self, a, b: None), "(self, a, b)", HEADERS),
    (HttpContext, "on_http_request_headers", classmethod(lambda cls, a: None), "(cls, a)", HEADERS),
    (HttpContext, "on_http_request_trailers", lambda self: None, "(self)", "(self, num_trailers: int)"),
    (HttpContext, "on_http_stream_done", lambda self, a: None, "(self, a)", "on_http_stream_done(self)"),
    (PluginContext, "on_tick", lambda self, a: None, "(self, a)", "on_tick(self)"),
    (PluginContext, "new_http_context", lambda self: None, "(self)", "new_http_context(self, context_id: int)"),
    (TcpContext, "on_downstream_close", lambda self: None, "(self)", "on_downstream_close(self, peer_type: PeerType)"),
    (VMContext, "on_vm_start", lambda: None, "()", "on_vm_start(self, vm_configuration_size: int)"),
    (go.DefaultHttpContext, "OnHttpRequestHeaders", lambda self: None, "(self)", "OnHttpRequestHeaders(self, num"),
]


@pytest.mark.parametrize(("base", "name", "value", "found", "right"), BAD_SHAPES)
def test_a_callback_that_cannot_take_what_envoy_passes(
    base: type, name: str, value: Any, found: str, right: str
) -> None:
    text = refusal(type("Mine", (base,), {name: value}))
    assert f"Mine.{name} cannot be called as {found}; it must be " in text
    assert right in text
    assert "own_names" not in text
    assert "\n" not in text, "each mistake once, also where a name has two spellings"


@pytest.mark.parametrize("value", [None, 1, "fail_open"])
def test_a_callback_that_is_no_method(value: object) -> None:
    assert f"Mine.on_tick must be a method, not {value!r}" in refusal(
        type("Mine", (PluginContext,), {"on_tick": value})
    )


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Descriptor:
    def __get__(self, instance: Any, owner: type) -> Any:
        return lambda *args: None


class Instance:
    def __call__(self, a: int, b: bool) -> None: ...


@pytest.mark.parametrize(
    "value",
    [
        lambda self, a, b: None,
        lambda self, a, b=False: None,
        lambda self, a=1, b=2, c=3: None,
        lambda *args: None,
        lambda self, *rest: None,
        lambda self, a, b, *, c=1, **more: None,
        staticmethod(lambda a, b: None),
        classmethod(lambda cls, a, b: None),
        decorated(lambda self, a, b: None),
        functools.partial(lambda a, b: None),
        functools.partialmethod(lambda self, x, a, b: None, 1),
        property(lambda self: lambda a, b: None),
        Descriptor(),
        Instance(),
    ],
)
def test_all_that_can_be_called_is_free(value: Any) -> None:
    assert HostEmulator(type("Mine", (HttpContext,), {"on_http_request_headers": value})).started


def test_an_async_callback_is_looked_at_too() -> None:
    class Mine(HttpContext):
        async def on_http_request_headers(self) -> None: ...  # type: ignore[override]

    assert HEADERS in refusal(Mine)


# --- where they are found ---------------------------------------------------------------------------------------------


def test_mistakes_are_found_in_bases_and_mixins_and_all_at_once() -> None:
    class Base(HttpContext):
        def on_http_respnse_headers(self, a: int, b: bool) -> None: ...

    class Mixin:
        max_bdy_bytes = 1

    class Mine(Mixin, Base):
        def on_http_request_headers(self, a: int) -> None: ...  # type: ignore[override]

    text = refusal(Mine)
    for name in ("Base.on_http_respnse_headers", "Mixin.max_bdy_bytes", "Mine.on_http_request_headers"):
        assert f": {name} " in text


def test_file_and_line_of_attributes_and_decorated_methods(tmp_path: Path) -> None:
    text = """
    def decorated(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper


    class First(pwasm.HttpContext):
        on_eror = "fail_open"


    class Second(First):
        buffer_requst_body: bool = True

        @decorated
        def on_http_request_heders(self, num_headers, end_of_stream): ...


    pwasm.set_http_context(Second)
    """
    with pytest.raises(RegistrationError) as caught:
        registered(tmp_path, text)
    lines = (tmp_path / "filter.py").read_text().splitlines()
    for said in str(caught.value).splitlines()[:3]:
        place, _, what = said.partition(": ")
        file, _, number = place.rpartition(":")
        assert file == str(tmp_path / "filter.py")
        name = what.split()[0].rpartition(".")[2]
        assert lines[int(number) - 1].lstrip().startswith((name, "@decorated")), said


class Typo(HttpContext):
    def on_http_request_heders(self, num_headers: int, end_of_stream: bool) -> None: ...


class BadPlugin(PluginContext):
    def on_tik(self) -> None: ...


class BadVm(VMContext):
    on_vm_strat = method


def make_http() -> HttpContext:
    return Typo()


def make_vm() -> VMContext:
    return BadVm()


class Chooses(PluginContext):
    def new_http_context(self, context_id: int) -> HttpContext:
        return Typo()


class ChoosesPlugin(VMContext):
    def new_plugin_context(self, context_id: int) -> PluginContext:
        return BadPlugin()


def test_classes_that_factories_make_are_looked_at_when_they_are_seen() -> None:
    pwasm.set_http_context(make_http)
    with pytest.raises(RegistrationError, match=r"Typo\.on_http_request_heders"):
        HostEmulator().request()
    with pytest.raises(RegistrationError, match=r"Typo\.on_http_request_heders"):
        HostEmulator(Chooses).request()
    with pytest.raises(RegistrationError, match=r"BadPlugin\.on_tik"):
        HostEmulator(ChoosesPlugin)


def test_a_factory_of_the_vm_is_too() -> None:
    pwasm.set_vm_context(make_vm)
    pwasm.set_http_context(HttpContext)
    with pytest.raises(RegistrationError, match=r"BadVm\.on_vm_strat"):
        HostEmulator()


def test_settings_are_those_of_the_classes() -> None:
    """A new setting has to be added here, or its misspellings would not be tested."""
    others = {"context_id", "plugin", "vm", "config", "configuration", "request", "response"}
    found = {name for base in BASES for name in vars(base) if not name.startswith("_")}
    assert found - others - {name for base in BASES for name in callbacks_of(base)} == set(SETTINGS)


@pytest.mark.parametrize("path", sorted((ROOT / "filters").glob("*/filter.py")), ids=lambda path: path.parent.name)
def test_no_example_is_refused(path: Path) -> None:
    assert import_filter(path.parent)


class Config:
    """The configuration of a filter."""


@pytest.mark.parametrize("name", ["confg", "cofnig", "configs", "plugn", "plugins"])
def test_a_misspelt_annotation(name: str) -> None:
    """It is never set, and the intended attribute stays empty."""
    cls = type("Filter", (HttpContext,), {"__annotations__": {name: Config}})
    meant = "config" if name.startswith("c") else "plugin"
    assert f"Filter.{name} is never set; did you mean {meant}?" in refusal(cls)


@pytest.mark.parametrize("name", ["config", "plugin", "count", "conf", "plug", "_confg"])
def test_other_annotations(name: str) -> None:
    annotations = {name: dict[str, int] if name == "config" else int}
    HostEmulator(type("Filter", (HttpContext,), {"__annotations__": annotations}))


def test_an_annotation_that_is_used_or_declared(tmp_path: Path) -> None:
    registered(
        tmp_path,
        """
        class Filter(pwasm.HttpContext):
            configs: list[int]
            plugins: int
            own_names = ("plugins",)

            def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
                self.configs = [1]

        pwasm.set_http_context(Filter)
        """,
    )


HELPERS = {
    "another module": {
        "helper.py": "def run(one):\n    return one.on_request()\n",
        "filter.py": """
            import helper

            class Filter(pwasm.HttpContext):
                def on_request(self): ...

                def on_http_request_headers(self, num_headers, end_of_stream):
                    helper.run(self)
        """,
    },
    "another module, of a package called like ours": {
        "pwasm_ours/__init__.py": "",
        "pwasm_ours/helper.py": "def run(one):\n    return one.on_request()\n",
        "filter.py": """
            from pwasm_ours import helper

            class Filter(pwasm.HttpContext):
                def on_request(self): ...

                def on_http_request_headers(self, num_headers, end_of_stream):
                    helper.run(self)
        """,
    },
    "a table in the class": {
        "filter.py": """
            class Filter(pwasm.HttpContext):
                def on_request(self): ...

                table = {"request": on_request}
        """,
    },
    "a table in the module": {
        "filter.py": """
            class Filter(pwasm.HttpContext):
                def on_request(self): ...

            TABLE = {"request": [Filter.on_request]}
        """,
    },
    "a default": {
        "filter.py": """
            class Filter(pwasm.HttpContext):
                def on_request(self): ...

                def run(self, callback=on_request): ...
        """,
    },
    "a registering decorator": {
        "filter.py": """
            ROUTES = {}

            def route(name):
                return lambda function: ROUTES.setdefault(name, function)

            class Filter(pwasm.HttpContext):
                @route("GET")
                def on_request(self): ...
        """,
    },
    "a marking decorator": {
        "filter.py": """
            def mark(function):
                function.route = "GET"
                return function

            class Filter(pwasm.HttpContext):
                @mark
                def on_request(self): ...
        """,
    },
    "another name of a callback": {
        "filter.py": """
            class Filter(pwasm.HttpContext):
                def on_headers(self, num_headers, end_of_stream): ...

                on_http_request_headers = on_headers
                on_http_response_headers = functools.partialmethod(on_headers)
        """,
    },
    "by its name, in a function": {
        "filter.py": """
            def run(one, kind):
                return getattr(one, f"on_{kind}")()

            class Filter(pwasm.HttpContext):
                def on_request(self): ...
        """,
    },
    "a mixin for two kinds of contexts": {
        "filter.py": """
            class Both:
                def on_tick(self): ...

            class Plugin(Both, pwasm.PluginContext): ...

            class Filter(Both, pwasm.HttpContext): ...
        """,
    },
    "a context in another module": {
        "stream.py": "import pwasm\n\nclass Stream(pwasm.HttpContext):\n    def on_tick(self): ...\n",
        "filter.py": """
            from stream import Stream

            class Filter(pwasm.PluginContext):
                def on_tick(self):
                    for one in [Stream()]:
                        one.on_tick()
        """,
    },
    "an installed base": {
        "site-packages/events.py": "class Events:\n    def on_done(self): ...\n",
        "filter.py": """
            import sys
            sys.path.insert(0, __file__.replace("filter.py", "site-packages"))
            from events import Events

            class Filter(pwasm.HttpContext, Events): ...
        """,
    },
    "odd things in the module": {
        "filter.py": """
            import os

            class Lazy:
                @property
                def __class__(self):
                    if "PWASM_TEST_IS_LAZY" in os.environ:  # not for those who look at all objects later
                        raise RuntimeError
                    return Lazy

            lazy = Lazy()
            odd = type("Odd", (pwasm.HttpContext,), {"": 1, "on_http_request_headers": lambda self, n, e: None})
            pwasm.set_http_context(odd)

            class Filter(pwasm.VMContext): ...
        """,
    },
}


def _all_below(*classes: type) -> set[type]:
    return {*classes}.union(*(_all_below(*cls.__subclasses__()) for cls in classes))


@pytest.mark.parametrize("case", HELPERS)
def test_ordinary_helpers_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PWASM_TEST_IS_LAZY", "1")
    for name, text in HELPERS[case].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        head = "import functools\n\nimport pwasm\n\n" if name == "filter.py" else ""
        (tmp_path / name).write_text(head + textwrap.dedent(text))
    kind = {"a context in another module": "plugin", "odd things in the module": "vm"}.get(case, "http")
    with (tmp_path / "filter.py").open("a") as file:
        file.write(f"\npwasm.set_{kind}_context(Filter)\n")
    import_filter(tmp_path)
    for cls in _all_below(*BASES):
        if functions.file_of(cls).startswith(str(tmp_path)):
            spelling.check(cls)
    for name in ("events", "helper", "stream", "pwasm_ours", "pwasm_ours.helper"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("setting", [name for name in SETTINGS if name not in ("on_error", "own_names")])
def test_a_setting_that_an_instance_sets(tmp_path: Path, setting: str) -> None:
    """It would set nothing, and a check of bodies would see pieces of them."""
    text = f"""
        class Filter(pwasm.HttpContext):
            def __init__(self):
                self.{setting} = True

        pwasm.set_http_context(Filter)
    """
    with pytest.raises(RegistrationError) as caught:
        registered(tmp_path, text)
    sets = f"Filter.__init__ sets {setting}, which is read from the class; set it in the class body"
    what = f"{tmp_path / 'filter.py'}:6: {sets}"
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_body", "max_body_bytes"),
        ("on_failure", "on_error"),
        ("buffer_body", "buffer_request_body"),
        ("snapshot_headers", "snapshot_request_headers"),
    ],
)
def test_settings_as_they_are_called_elsewhere(name: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refusal(type("Filter", (HttpContext,), {name: 1}))


@pytest.mark.parametrize(
    "name", ["on_http_hdrs", "on_http_rq_headers", "on_http_rsp_headers", "on_shutdown", "on_timer"]
)
def test_words_that_people_shorten_or_exchange(name: str) -> None:
    assert f"Filter.{name} is not a callback of " in refusal(type("Filter", (HttpContext,), {name: method}))
