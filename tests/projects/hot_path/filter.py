"""The first number of a callback selects its action: everything that the shim's fast paths handle, or leave to Python.

The contexts of one plugin are of several kinds, by their ids, when its factory makes them; a class makes them alike.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from typing import Any

import pwasm
from pwasm import Action, HttpContext, PluginContext, aio


def log_plainly(context: HttpContext) -> None:
    pwasm.log_info("plain")
    pwasm.log_debug(f"{context.context_id} ünï\x00code\n")
    pwasm.log_warn("x" * 41)
    pwasm.log_trace("\ud800 alone")


def log_formatted(context: HttpContext) -> None:
    pwasm.log_debug("below %s", context)
    pwasm.log_error("stream %d of %s", context.context_id, context.plugin.context_id)
    pwasm.log_error("does not fit %d", "x")
    pwasm.log_info(msg="by name")


def log_wrongly(context: HttpContext) -> None:
    pwasm.log_info(5)


def read(context: HttpContext) -> None:
    values = [
        pwasm.get_http_request_header("plain"),
        pwasm.get_http_request_header("binary", "x"),
        pwasm.get_http_request_header("empty", "x"),
        pwasm.get_http_request_header("missing", "default"),
        pwasm.get_http_request_header("missing"),
        pwasm.get_http_response_header(name="plain", default="x"),
        pwasm.get_http_request_trailer("plain"),
    ]
    pwasm.log_info(ascii(values))
    pwasm.get_http_request_header("refused")


def write(context: HttpContext) -> None:
    add, replace, remove = (
        pwasm.add_http_response_header,
        pwasm.replace_http_response_header,
        pwasm.remove_http_response_header,
    )
    for _ in range(2):
        add("x-a", "1")
        add("X-B", "with blanks and ~")
        add("x-a", "ünï")
        add("x-a", b"bytes")
        add("x-a", "")
        replace("x-a", "y" * 300)
        replace(":status", "201")
        remove("x-a")
        pwasm.add_http_response_trailer("x-t", "1")
    add("refused", "1")


def write_bodiless(context: HttpContext) -> None:
    pwasm.replace_http_response_header(":status", "204")  # refused where a body follows
    pwasm.replace_http_response_header("content-length", "0")


def write_to_request(context: HttpContext) -> None:
    pwasm.replace_http_request_header("x-a", "1")
    pwasm.add_http_request_header("x-a", "1")
    pwasm.remove_http_request_header("x-a")


def write_wrongly(name: Any, value: Any) -> Callable[[HttpContext], None]:
    def wrong(context: HttpContext) -> None:
        pwasm.add_http_response_header("x-a", "1")
        pwasm.add_http_response_header(name, value)

    return wrong


def resume_and_pause(context: HttpContext) -> Action:
    pwasm.resume_http_request()
    return Action.PAUSE


def answer(context: HttpContext) -> Action:
    pwasm.send_http_response(403, [("x", "y")], b"no")
    return Action.PAUSE


def act_on_another(context: HttpContext) -> None:
    pwasm.set_effective_context(context.context_id - 1)
    pwasm.get_http_request_header("plain")


def call_out(context: HttpContext) -> Action:
    pwasm.dispatch_http_call("cluster", [(":method", "GET"), (":path", "/"), (":authority", "a")])
    return Action.PAUSE


def fail(context: HttpContext) -> None:
    raise ValueError("on purpose")


def use_objects(context: HttpContext) -> None:
    context.request.headers["x-a"] = "1"
    pwasm.log_info(ascii(context.response.headers.get("plain")))


def remember(context: Any) -> None:
    context.seen = getattr(context, "seen", 0) + 1
    pwasm.log_info("seen %d", context.seen)


def remember_elsewhere(context: Any) -> None:
    known = vars(context)
    known["kept"] = known.get("kept", 0) + 1
    pwasm.log_info(f"{known['kept']} {sorted(known)}")


def keep_attributes(context: Any) -> None:
    ATTRIBUTES.append(vars(context))
    del ATTRIBUTES[:-3]
    pwasm.log_info("attributes kept of %s", [one.get("context_id") for one in ATTRIBUTES])


ATTRIBUTES: list[Any] = []
STATE = ("seen", "kept", "extra", "passing", "other", "user", "replaced")
"""What deeds leave behind."""


def remember_in_a_slot(context: Any) -> None:
    if isinstance(context, Slotted):
        context.extra = getattr(context, "extra", 0) + 1
        pwasm.log_info("extra %d", context.extra)


def remember_and_forget(context: Any) -> None:
    pwasm.log_info("found %s", hasattr(context, "passing"))
    context.passing = 1
    if context.context_id % 2:
        del context.passing


def have_another_method(context: Any) -> None:
    context.on_http_response_headers = lambda size, end: pwasm.log_info("the object's own method")


def become_another(context: Any) -> None:
    context.__class__ = Another


def lose(context: Any) -> None:
    """The two attributes that the SDK sets; who has a number as its id is told apart from one that has not."""
    pwasm.log_info("lost %s", (type(context.context_id), context.plugin is None))
    context.context_id, context.plugin = "lost", None


def lose_more(context: Any) -> None:
    """As many attributes as before."""
    pwasm.log_info("other %s", hasattr(context, "other"))
    del context.plugin
    context.other = 1


def replace_attributes(context: Any) -> None:
    context.__dict__ = {**vars(context), "replaced": 1}


def clear_attributes(context: Any) -> None:
    pwasm.log_info("attributes %d", len(vars(context)))
    kept = dict(vars(context))
    vars(context).clear()
    vars(context).update(reversed(kept.items()))


def set_again(context: Any) -> None:
    """In the other order, and one of them as something else."""
    known, plugin = context.context_id, context.plugin
    del context.context_id, context.plugin
    context.plugin = plugin
    context.context_id = known


def log_in_as(context: Any) -> None:
    context.user = getattr(context, "user", None) or context.context_id
    pwasm.log_info("user %s", context.user)


def finalize(context: Any) -> None:
    weakref.finalize(context, pwasm.log_info, "finalized")


KEPT: list[Any] = []


def keep(context: Any) -> None:
    KEPT.append(context)
    del KEPT[:-3]
    pwasm.log_info("kept %s", [one.context_id for one in KEPT])


def refer(context: Any) -> None:
    REFERENCES.append(weakref.ref(context))
    pwasm.log_info("alive %s", [one() is not None for one in REFERENCES[-9:]])


REFERENCES: list[Any] = []


def change_the_class(context: Any) -> None:
    if type(context) is Changing and context.context_id > 300:
        Changing.on_http_response_body = lambda self, size, end: pwasm.log_info("changed")
        if context.context_id > 500:
            Changing.__del__ = lambda self: pwasm.log_info("gone")


async def wait(context: HttpContext) -> Action:
    await aio.http_call("cluster", [(":method", "GET"), (":path", "/"), (":authority", "a")])
    return Action.CONTINUE


def returns(value: object) -> Callable[[HttpContext], object]:
    return lambda context: value


DEEDS: tuple[Callable[[Any], object], ...] = (
    returns(None),
    returns(Action.CONTINUE),
    returns(Action.PAUSE),
    returns(0),
    returns(1),
    returns(True),
    returns("PAUSE"),
    log_plainly,
    log_formatted,
    log_wrongly,
    read,
    write,
    write_bodiless,
    write_to_request,
    write_wrongly("x a", "1"),
    write_wrongly("", "1"),
    write_wrongly("x-a", "1\r\nx-b: 2"),
    write_wrongly("x-a", "\x7f"),
    write_wrongly("x-a", 1),
    write_wrongly(1, "1"),
    write_wrongly(":status", "200"),
    resume_and_pause,
    answer,
    act_on_another,
    call_out,
    fail,
    use_objects,
    wait,
    remember,
    remember_elsewhere,
    keep_attributes,
    remember_in_a_slot,
    remember_and_forget,
    have_another_method,
    become_another,
    lose,
    lose_more,
    keep,
    refer,
    change_the_class,
    replace_attributes,
    clear_attributes,
    set_again,
    log_in_as,
    finalize,
)


class Http(HttpContext):
    def _do(self, number: int, end_of_stream: bool) -> Any:
        assert type(end_of_stream) is bool
        pwasm.log_info(
            "%s %s",
            [(name, getattr(self, name)) for name in STATE if hasattr(self, name)],
            [one.get("context_id") for one in ATTRIBUTES],
        )
        return DEEDS[number % len(DEEDS)](self)

    on_http_request_headers = on_http_request_body = on_http_response_headers = on_http_response_body = _do

    def on_http_request_trailers(self, num_trailers: int) -> Any:
        return self._do(num_trailers, False)

    def on_http_response_trailers(self, num_trailers: int) -> Any:
        return self._do(num_trailers, False)

    def on_http_stream_done(self) -> None:
        pwasm.log_info("done %d", self.context_id)


class Open(Http):
    on_error = "fail_open"


class Buffering(Http):
    buffer_request_body = True


class Numbered(Http):
    def __init__(self, context_id: int) -> None:
        pwasm.log_info("made %d", context_id)
        if context_id % 5 == 0:
            raise ValueError("no context")


class Plain(Http):
    def __init__(self) -> None:
        pwasm.log_info("made")
        self.context_id = "not yet"


class Slotted(Http):
    __slots__ = ("extra",)


class Leaving(Http):
    def __del__(self) -> None:
        pwasm.log_info("gone")


class Changing(Http):
    pass


class Another(Http):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        pwasm.log_info("another's method")
        return self._do(num_headers, end_of_stream)


# --- forms that a class can have --------------------------------------------------------------------------------------


class PluginIsSet:
    """A setter is a place where a class without `__init__` can begin a stream."""

    @property
    def plugin(self) -> Any:
        return self._plugin

    @plugin.setter
    def plugin(self, plugin: Any) -> None:
        self._plugin = plugin
        self.user = None

    @plugin.deleter
    def plugin(self) -> None:
        del self._plugin


class Numbers:
    """A data descriptor, which counts."""

    made = 0

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return vars(instance)["number"] if instance is not None else self

    def __set__(self, instance: Any, value: Any) -> None:
        Numbers.made += 1
        vars(instance)["number"] = value

    def __delete__(self, instance: Any) -> None:
        del vars(instance)["number"]


class IdIsSet:
    context_id = Numbers()


class Defaults:
    """No data descriptors, but attributes of the class all the same."""

    plugin = context_id = user = None


class Calling(type):
    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        made = super().__call__(*arguments, **options)
        made.user = None
        return made


class Called(metaclass=Calling):
    pass


class Asking(type):
    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(name)

    def mro(cls) -> list[type]:
        return super().mro()


class Asked(metaclass=Asking):
    pass


class Reads:
    def __getattribute__(self, name: str) -> Any:
        if name == "on_http_request_body":
            pwasm.log_info("read")
        return super().__getattribute__(name)


class Misses:
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Writes:
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "plugin":
            super().__setattr__("user", None)


class Subclassed:
    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.registered_as = cls.__name__

    registered_as = ""


class Compared:  # noqa: PLW1641, that is the form
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)


class WithSlots:
    __slots__ = ("extra",)


class Described:
    """Methods that are no functions."""

    @property
    def on_http_response_body(self) -> Any:
        return lambda size, end: pwasm.log_info("from a property")


FORMS: tuple[type, ...] = (
    PluginIsSet,
    IdIsSet,
    Defaults,
    Called,
    Asked,
    Reads,
    Misses,
    Writes,
    Subclassed,
    Compared,
    WithSlots,
    Described,
)


def formed(seed: int) -> type:
    """A class of some of the forms; those that do not go together are left out."""
    chance = random.Random(seed)
    bases: list[Any] = [Http]
    for form in chance.sample(FORMS, 1 + seed % 3):
        try:
            type(form)("Trial", (form, *bases), {})
            bases = [form, *bases]
        except TypeError:
            continue
    maker: Any = next((type(base) for base in bases if type(base) is not type), type)
    return maker(f"Formed{seed}", tuple(bases), {})  # type: ignore[no-any-return]


class Where(HttpContext):
    """Where in memory its contexts are."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.log_info(str(id(self)))

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.log_info("immutable %s", bool(Action.__flags__ & 1 << 8))  # Py_TPFLAGS_IMMUTABLETYPE


class Filling(PluginContext):
    """Reuses the memory of contexts that were freed."""

    filling: list[Where] | None = None

    def on_tick(self) -> None:
        self.filling = [Where() for _ in range(500)]


KINDS = {
    "http": Http,
    "open": Open,
    "buffering": Buffering,
    "numbered": Numbered,
    "plain": Plain,
    "slotted": Slotted,
    "leaving": Leaving,
    "changing": Changing,
    "where": Where,
    **{form.__name__: type(form)(form.__name__, (form, Http), {}) for form in FORMS},
    **{f"formed-{seed}": formed(seed) for seed in range(24)},
}


class Mixed(PluginContext):
    def new_http_context(self, context_id: int) -> HttpContext | None:
        kinds: list[Any] = [Http, Open, Buffering, Plain, lambda: None]
        return kinds[context_id % len(kinds)]()  # type: ignore[no-any-return]

    def on_plugin_done(self) -> bool:  # or proxy_on_done would not be exported
        return True


# One module for each would be slow to build: Envoy's root_id tells which.
for _name, _kind in KINDS.items():
    pwasm.set_http_context(_kind, root_id=_name)
pwasm.set_plugin_context(Mixed, root_id="mixed")
pwasm.set_plugin_context(Filling, root_id="where")
