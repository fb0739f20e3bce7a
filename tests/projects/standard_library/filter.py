"""Uses the standard library as filters do, including removed parts; responds with the repr."""

import base64
import builtins
import csv
import dataclasses
import datetime
import decimal
import hashlib
import hmac
import importlib
import io
import json
import logging
import re
import urllib.parse
import uuid
import zoneinfo
from collections.abc import Callable
from xml.etree import ElementTree

import pwasm
from pwasm import Action, HttpContext


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0


def dates() -> list[object]:
    day = datetime.datetime.strptime("2026-03-29 12:00", "%Y-%m-%d %H:%M")
    summer = day.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    return [day.isoformat(), summer.utcoffset(), summer.astimezone(datetime.UTC).hour, f"{summer:%Z}"]


def digests() -> list[str]:
    names = ("md5", "sha1", "sha256", "sha3_256", "blake2b")
    found = [hashlib.new(name, b"text").hexdigest()[:8] for name in names]
    return [*found, hmac.new(b"key", b"text", "sha256").hexdigest()[:8]]


def tables() -> list[object]:
    text = io.StringIO()
    csv.writer(text).writerows([["a", 'b "c"'], ["1", "2,3"]])
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def points() -> list[object]:
    point = Point(1)
    return [point, dataclasses.replace(point, y=2), dataclasses.asdict(point), point < Point(2)]


def trees() -> list[object]:
    tree = ElementTree.fromstring('<a x="1"><b>t</b><b/></a>')
    return [tree.get("x"), [b.text for b in tree.iterfind("b")], ElementTree.tostring(tree)]


def logs() -> list[object]:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "%s of %d", ("one", 2), None)
    return [logging.Formatter("{levelname} {message}", style="{").format(record)]


def decimals() -> list[object]:
    with decimal.localcontext(prec=5):
        return [decimal.Decimal(1) / 7, decimal.Decimal("2").sqrt(), f"{decimal.Decimal('1234.5'):,.2f}"]


def built_in(name: str, *arguments: object) -> object:
    """A built-in function whose name the build does not see here."""
    function: Callable[..., object] = getattr(builtins, name)
    return function(*arguments)


WORK: dict[str, Callable[[], object]] = {
    "/json": lambda: json.loads(json.dumps({"a": [1, 2.5, None, "ü"]}, indent=1)),
    "/re": lambda: re.sub(r"(?P<d>\d+)|(?i:X)", lambda found: f"<{found['d']}>", "a1x22"),
    "/re_new": lambda: re.compile("".join(["a", "(b|c)+", "?"])).findall("abcbc ab"),
    "/dates": dates,
    "/digests": digests,
    "/base64": lambda: base64.b85decode(base64.b85encode(base64.urlsafe_b64decode("_-8="))),
    "/url": lambda: urllib.parse.parse_qs(urllib.parse.urlsplit("http://h:1/p?a=%C3%BC&a=2#f").query),
    "/points": points,
    "/decimals": decimals,
    "/uuid": lambda: [uuid.uuid5(uuid.NAMESPACE_URL, "x"), uuid.uuid4().version],
    "/logs": logs,
    "/tables": tables,
    "/trees": trees,
    "/class": lambda: type("Made", (Point,), {"z": property(lambda self: self.x + 1)})(1).z,
    "/removed": lambda: importlib.import_module("_sq" + "lite3"),
    "/removed_name": lambda: [error.name for error in [_import_error("_as" + "yncio")]],
    "/eval": lambda: built_in("ev" + "al", "1 + 1"),
    "/exec": lambda: built_in("ex" + "ec", "x = 1"),
    "/compile": lambda: built_in("com" + "pile", "1", "name", "eval"),
    "/exec_code": lambda: built_in("ex" + "ec", (lambda: None).__code__),
    "/parse": lambda: getattr(importlib.import_module("a" + "st"), "literal" + "_eval")("[1, 2]"),
}


def _import_error(name: str) -> ImportError:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return error
    raise AssertionError(name)


class Runner(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        answer = repr(WORK[pwasm.get_http_request_header(":path") or ""]())
        pwasm.send_http_response(200, [("content-type", "text/plain")], answer.encode("utf-8", "backslashreplace"))
        return Action.PAUSE


pwasm.set_http_context(Runner)
