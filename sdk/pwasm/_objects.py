"""`self.request` and `self.response` of an HTTP context: header maps as mappings, bodies as bytes.

    self.request.headers["x-user"] = "anna"
    for name, value in self.response.headers.items(): ...

They are a thin layer over the functions of `hostcalls`. Nothing is cached except the snapshot of the request headers: a
hostcall costs about as much as keeping a cache consistent would.

The host no longer gives access to request headers once the request has been sent upstream. If the class asks for it
(`HttpContext.snapshot_request_headers`), a copy is kept and read from then on; writing raises PhaseError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import hostcalls
from ._abi import MapType
from ._serde import decode_pairs, to_text
from ._stream.current import current
from ._stream.phases import RESPONSE
from ._stream.records import Stream
from ._typing import Any, NamedTuple, NoReturn, TypeVar, overload
from ._validate import Headers, text
from .errors import BadArgument, PhaseError

_T = TypeVar("_T")


class _Functions(NamedTuple):
    name: str
    get: Callable[[str], str | None]
    get_all: Callable[[], list[tuple[str, str]]]
    replace: Callable[[str, str | bytes], None]
    add: Callable[[str, str | bytes], None]
    remove: Callable[[str], None]
    replace_all: Callable[[Headers], None]


def _functions(name: str) -> _Functions:
    verbs = (f"get_{name}", f"get_{name}s", f"replace_{name}", f"add_{name}", f"remove_{name}", f"replace_{name}s")
    return _Functions(name, *(getattr(hostcalls, verb) for verb in verbs))


_FUNCTIONS = {
    MapType.HTTP_REQUEST_HEADERS: _functions("http_request_header"),
    MapType.HTTP_REQUEST_TRAILERS: _functions("http_request_trailer"),
    MapType.HTTP_RESPONSE_HEADERS: _functions("http_response_header"),
    MapType.HTTP_RESPONSE_TRAILERS: _functions("http_response_trailer"),
}


class HeaderMap:
    """The headers or trailers of a request or response, by name.

    Names are case-insensitive. A name can have several values: `headers[name]` is the first, `get_all` returns all, and
    an assignment replaces all of them by one. Values are str (UTF-8 with surrogateescape).

    Every access is a hostcall and raises its exceptions: `ValueError` for an invalid name or value, `PhaseError` if the
    map is not available in the running callback.
    """

    __slots__ = ("_functions", "_map_type", "_stream")

    def __init__(self, stream: Stream, map_type: MapType) -> None:
        self._stream = stream
        self._map_type = map_type
        self._functions = _FUNCTIONS[map_type]

    def __getitem__(self, name: str) -> str:
        """The first value of `name`; KeyError if there is none."""
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get(self, name: str, default: object = None) -> object:
        """The first value of `name`, or `default`."""
        if not self._from_snapshot():
            try:
                value = self._functions.get(name)
            except BadArgument as error:
                self._needs_snapshot(error)
            else:
                return default if value is None else value
        wanted = text("name", name).lower()
        return next((value for key, value in self._snapshot() if key == wanted), default)

    def get_all(self, name: str) -> list[str]:
        """All values of `name`, in order; an empty list if there are none."""
        wanted = text("name", name).lower()
        return [value for key, value in self.items() if key == wanted]

    def items(self) -> list[tuple[str, str]]:
        """All pairs of name and value, in order; a name with several values has several pairs."""
        if not self._from_snapshot():
            try:
                return self._functions.get_all()
            except PhaseError as error:
                self._needs_snapshot(error)
        return self._snapshot()

    def keys(self) -> list[str]:
        """The names, each once, in lower case."""
        return list(dict(self.items()))

    def values(self) -> list[str]:
        """All values, in the order of `items`."""
        return [value for _, value in self.items()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        """The number of names."""
        return len(self.keys())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __setitem__(self, name: str, value: str | bytes) -> None:
        """Set `name` to a single value."""
        self._write(self._functions.replace, name, value)

    def __delitem__(self, name: str) -> None:
        """Remove all values of `name`; KeyError if there are none."""
        if self.get(name) is None:
            raise KeyError(name)
        self._write(self._functions.remove, name)

    def add(self, name: str, value: str | bytes) -> None:
        """Add a value to `name`."""
        self._write(self._functions.add, name, value)

    def pop(self, name: str, default: _T | None = None) -> str | _T | None:
        """Remove `name` and return its first value, or `default` if there is none."""
        value = self.get(name)
        if value is None:
            return default
        self._write(self._functions.remove, name)
        return value

    def update(self, headers: Headers) -> None:
        """Set each name of `headers`, pairs or a mapping, to its value."""
        for name, value in dict(headers).items():
            self[name] = value

    def replace_all(self, headers: Headers) -> None:
        """Replace the whole map; pseudo-headers are kept unless `headers` contains them."""
        self._write(self._functions.replace_all, headers)

    def __repr__(self) -> str:
        try:
            return f"HeaderMap({self.items()!r})"
        except Exception as error:
            return f"<HeaderMap of context {self._stream.id}: {error}>"

    # --- the host or the snapshot ---------------------------------------------------------------------------------

    def _from_snapshot(self) -> bool:
        """Whether the host is certain not to have the map in this callback."""
        if self._map_type != MapType.HTTP_REQUEST_HEADERS or self._stream.snapshot is None:
            _check_selected(self._stream, self._functions.name)
            return False
        phase = current.phase
        if current.stream is not self._stream or phase.direction == RESPONSE:
            return True
        return self._map_type in phase.no_read

    def _needs_snapshot(self, error: Exception) -> None:
        if self._stream.snapshot is None or self._map_type != MapType.HTTP_REQUEST_HEADERS:
            raise self._out_of_reach(error) from error

    def _snapshot(self) -> list[tuple[str, str]]:
        return [(to_text(name), to_text(value)) for name, value in decode_pairs(self._stream.snapshot or b"")]

    def _write(self, function: Callable[..., None], *args: object) -> None:
        _check_selected(self._stream, function.__name__)
        try:
            function(*args)
        except BadArgument as error:
            raise self._out_of_reach(error) from error

    def _out_of_reach(self, error: Exception) -> PhaseError:
        if isinstance(error, PhaseError):
            return error
        hint = ""
        if self._map_type == MapType.HTTP_REQUEST_HEADERS:
            hint = "change them in on_http_request_headers; to read them later, set snapshot_request_headers = True"
        why = f"the host has no {self._functions.name[5:].replace('_', ' ')}s in this callback"
        return PhaseError(f"{self._functions.name}s", current.phase.method, why, hint)


class _Message:
    """The common base of requests and responses."""

    __slots__ = ("_stream", "headers", "trailers")

    _maps: tuple[MapType, MapType]
    _body: str

    headers: HeaderMap
    """The headers, pseudo-headers included."""

    trailers: HeaderMap
    """The trailers; readable in the trailers callback and at the end of the body."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.headers = HeaderMap(stream, self._maps[0])
        self.trailers = HeaderMap(stream, self._maps[1])

    @property
    def body(self) -> bytes:
        """The bytes of the body that have arrived; all of it with `buffer_request_body` or `buffer_response_body`.

        Assigning replaces them. If that changes the size, the class must declare that it edits or buffers the body.
        """
        _check_selected(self._stream, "body")
        read: Callable[[], bytes] = getattr(hostcalls, f"get_{self._body}")
        return read()

    @body.setter
    def body(self, data: bytes | str) -> None:
        _check_selected(self._stream, "body")
        getattr(hostcalls, f"replace_{self._body}")(data)


class Request(_Message):
    """The request of an `HttpContext`."""

    __slots__ = ()
    _maps = (MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_REQUEST_TRAILERS)
    _body = "http_request_body"

    @property
    def method(self) -> str | None:
        """`:method`."""
        return self.headers.get(":method")

    @property
    def path(self) -> str | None:
        """`:path`, with the query."""
        return self.headers.get(":path")

    @property
    def authority(self) -> str | None:
        """`:authority`, the host that the client requested."""
        return self.headers.get(":authority")


class Response(_Message):
    """The response of an `HttpContext`."""

    __slots__ = ()
    _maps = (MapType.HTTP_RESPONSE_HEADERS, MapType.HTTP_RESPONSE_TRAILERS)
    _body = "http_response_body"

    @property
    def status(self) -> int | None:
        """`:status` as a number; assigning changes it."""
        value = self.headers.get(":status")
        return int(value) if value is not None and value.isdigit() else None

    @status.setter
    def status(self, code: int) -> None:
        if not isinstance(code, int) or isinstance(code, bool):
            raise TypeError(f"status must be int, not {type(code).__name__}")
        self.headers[":status"] = str(code)


class OfContext:
    """Descriptor that creates the object on first access, and stores it in the context."""

    def __init__(self, name: str, kind: type[_Message]) -> None:
        self._name = name
        self._kind = kind
        self.__doc__ = kind.__doc__

    def __get__(self, context: Any, owner: type) -> Any:
        if context is None:
            return self
        stream = current.stream
        if stream is None or stream.context is not context:
            root = current.active_root()
            stream = None if root is None else root.streams.get(getattr(context, "context_id", 0))
        if stream is None or stream.context is not context:
            _no_stream(self._name)
        made = context.__dict__[self._name] = self._kind(stream)
        return made


def _no_stream(name: str) -> NoReturn:
    why = "the context does not belong to a stream (not yet in __init__, and no longer after the end of the stream)"
    raise PhaseError(f"self.{name}", current.phase.method, why)


def _check_selected(stream: Stream, what: str) -> None:
    if current.stream is not stream:
        raise PhaseError(
            what,
            current.phase.method,
            f"stream {stream.id} is not selected",
            f"with pwasm.effective_context({stream.id}): …",
        )
