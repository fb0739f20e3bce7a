"""`pwasm status`: the Wasm filters of a real Envoy, of a recorded dump, and of dumps written by hand like Istio's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pwasm_compiler.envoy import admin
from pwasm_compiler.envoy.admin import stats
from pwasm_compiler.envoy.dump import BUILT_IN, Code, wasm_filters
from pwasm_compiler.envoy.log_hints import explanation_of
from pwasm_compiler.envoy.process import Envoy, find_envoy
from pwasm_compiler.envoy.status import _with_digest, render, status, to_json
from tests.support.command_line import Pwasm
from tests.support.hand_dumps import RBAC, TYPE, WASM, dump
from tests.support.odd_values import odd
from tests.support.small_modules import http_module

DUMPS = Path(__file__).parent / "dumps"
RECORDED = DUMPS / "recorded_envoy_1_40.json"
"""What Envoy 1.40.0 answered to /config_dump; clusters, the node's extensions and the command line are left out."""


# -- dumps


def test_a_recorded_dump(pwasm: Pwasm) -> None:
    result = pwasm("status", "--dump", RECORDED, "--json")
    found = json.loads(result.out)
    assert found["envoy"] == "1.40.0"
    rows = {row["name"]: row for row in found["filters"]}
    assert {name: (row["kind"], row["listener"]) for name, row in rows.items()} == {
        "first": ("HTTP filter", "http"),
        "second": ("HTTP filter", "http"),
        "third": ("HTTP filter", "http"),
        "tcp": ("TCP filter", "tcp"),
        "service": ("service", None),
    }
    assert {name for name, row in rows.items() if row["ecds"]} == {"third"}
    assert {name for name, row in rows.items() if row["disabled"]} == {"second"}
    assert {name for name, row in rows.items() if not row["restricted"]} == {"second"}
    assert rows["second"]["root_id"] == "check"
    assert rows["first"]["code"] == {"how": "local", "source": "main.wasm"}
    assert rows["first"]["shares_vms_with"] == ["third"]
    assert all(row["runtime"] == "envoy.wasm.runtime.v8" and not row["built_in"] for row in rows.values())
    assert found["problems"] == [
        "second: after a crash every request is answered with 503 until Envoy restarts: set failure_policy FAIL_RELOAD"
    ]


def test_built_in_filters_as_the_tutorials_istio_had_them() -> None:
    """Written by hand after Istio 1.9: a TypedStruct, the runtime `null`, code that is a name."""
    vm = {
        "vm_id": "stats_inbound",
        "runtime": "envoy.wasm.runtime.null",
        "code": {"local": {"inline_string": "envoy.wasm.stats"}},
    }
    struct = {
        "@type": TYPE + "udpa.type.v1.TypedStruct",
        "type_url": WASM,
        "value": {"config": {"root_id": "stats_inbound", "vm_config": vm, "configuration": {"value": "{}"}}},
    }
    (row,) = status("dump", dump([{"name": "istio.stats", "typed_config": struct}]), {}).rows
    assert (row.filter.entry, row.filter.runtime, row.filter.root_id) == ("istio.stats", BUILT_IN, "stats_inbound")
    assert (row.code.how, row.code.source) == ("built-in", "envoy.wasm.stats")
    assert row.problems == ()
    assert to_json(status("dump", dump([{"name": "istio.stats", "typed_config": struct}]), {}))["filters"][0][
        "built_in"
    ]
    assert "built into Envoy" in render(status("dump", dump([{"name": "istio.stats", "typed_config": struct}]), {}))


ISTIO_ENTRY = {
    "name": "extensions.istio.io/trafficextension/web.hello~istio-translated-wasmplugin",
    "config_discovery": {"config_source": {"ads": {}}, "type_urls": [WASM, RBAC]},
}


def test_a_filter_of_todays_istio() -> None:
    digest = "ab" * 32
    plugin = {
        "name": "web.hello",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": f"/var/lib/istio/data/{'cd' * 32}/{digest}.wasm"}},
        },
        "failure_policy": "FAIL_RELOAD",
    }
    stats = {
        "wasm.web.hello.vm_reload_success": 2,
        "wasm.web.hello.vm_reload_failure": 0,
        "wasm.web.hello.vm_reload_backoff": 5,
        "wasm.envoy.wasm.runtime.v8.active": 3,
        "wasm.envoy.wasm.runtime.v8.created": 9,
        f"extension_config_discovery.http_filter.{ISTIO_ENTRY['name']}.config_reload": 4,
        f"extension_config_discovery.http_filter.{ISTIO_ENTRY['name']}.update_rejected": 1,
    }
    found = status("dump", dump([ISTIO_ENTRY], {str(ISTIO_ENTRY["name"]): {"@type": WASM, "config": plugin}}), stats)
    (row,) = found.rows
    assert (row.filter.name, row.filter.listener, row.filter.address) == (
        "web.hello",
        "virtualInbound",
        "0.0.0.0:15006",
    )
    assert (row.code.sha256, row.code.fetched) == (None, digest)
    assert row.vms == 3
    assert (row.numbers["reloads"], row.numbers["reload_backoffs"], row.numbers["updates_rejected"]) == (2, 5, 1)
    assert any("was rejected (1 so far)" in problem for problem in row.problems)
    assert any("reloaded 2 times" in problem for problem in row.problems)
    assert any("5 requests got 503" in problem for problem in row.problems)


@pytest.mark.parametrize(
    ("rbac", "said"),
    [
        ({"rules": {}, "rules_stat_prefix": "wasm-default-deny"}, "403 RBAC: access denied"),
        ({"rules_stat_prefix": "wasm-default-allow"}, "pass without the filter"),
        ({"rules": {}}, "403 RBAC: access denied"),
    ],
)
def test_istio_that_could_not_fetch(rbac: dict[str, Any], said: str) -> None:
    found = status("dump", dump([ISTIO_ENTRY], {str(ISTIO_ENTRY["name"]): {"@type": RBAC, **rbac}}), {})
    assert found.rows[0].filter.name == "web.hello"
    assert said in found.rows[0].problems[0]


def test_ecds_that_has_not_come() -> None:
    (row,) = status("dump", dump([ISTIO_ENTRY]), {}).rows
    assert row.filter.state == "waiting"
    assert "500" in row.problems[0]


def test_remote_and_inline_code_access_logs_and_states() -> None:
    remote = {"remote": {"httpUri": {"uri": "https://x/y.wasm"}, "sha256": "a" * 64}}
    inline = {"local": {"inline_bytes": "AGFzbQEAAAA="}}
    filters = [
        {"name": "r", "typedConfig": {"@type": WASM, "config": {"name": "r", "vmConfig": {"code": remote}}}},
        {"name": "i", "typed_config": {"@type": WASM, "config": {"name": "i", "vm_config": {"code": inline}}}},
        {"name": "u", "typed_config": {"@type": WASM, "config": {"name": "u", "failOpen": True}}},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "x.Router"}},
    ]
    log = {"name": "l", "typed_config": {"@type": TYPE + "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog"}}
    document = dump(filters, access_log=[log])
    document["configs"][0]["dynamic_listeners"][0]["warming_state"] = {"listener": {"name": "w", "access_log": [log]}}
    found = {(item.entry, item.state): item for item in wasm_filters(document)}
    assert list(found) == [("l", "active"), ("r", "active"), ("i", "active"), ("u", "active"), ("l", "warming")]
    assert (found["r", "active"].code.how, found["r", "active"].code.sha256) == ("remote", "a" * 64)
    assert found["i", "active"].code.sha256 == hashlib.sha256(b"\0asm\1\0\0\0").hexdigest()
    assert (found["u", "active"].code.how, found["u", "active"].policy) == ("unknown", "FAIL_OPEN")
    assert found["l", "active"].kind == "access log"


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [None], {"configs": 1}])
def test_odd_dumps_do_no_harm(value: Any) -> None:
    odd = [
        {"configs": [{"@type": TYPE + "envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": value}]},
        {"configs": [{"@type": TYPE + "envoy.admin.v3.EcdsConfigDump", "ecds_filters": value}]},
        {"configs": [{"@type": TYPE + "envoy.admin.v3.BootstrapConfigDump", "bootstrap": value}]},
        {"configs": [value]},
        dump([value]),
        dump([{"name": value, "typed_config": {"@type": WASM, "config": value}}]),
        dump([{"name": "x", "typed_config": {"@type": WASM, "config": {"vm_config": {"code": value}}}}]),
        dump([{"name": "x", "config_discovery": {"type_urls": value}}]),
    ]
    for document in odd:
        assert "Envoy" in render(status("dump", document, {}))


def test_one_odd_value_in_a_dump_does_no_harm() -> None:
    code = {"remote": {"http_uri": {"uri": "http://x"}, "sha256": "a" * 64}}
    plugin = {"@type": WASM, "config": {"name": "n", "vm_config": {"runtime": "r", "code": code}}}
    delivered = {"name": "ns.e", "config_discovery": {"type_urls": [WASM]}}
    document = dump([{"name": "x", "typed_config": plugin}, delivered], {"ns.e": plugin})
    whole = render(status("dump", document, {}))
    assert "n: HTTP filter of listener virtualInbound" in whole
    for changed in odd(document):
        if isinstance(changed.get("configs"), list):
            json.dumps(to_json(status("dump", changed, {})))
            assert len(render(status("dump", changed, {}))) < 2 * len(whole)


def test_a_name_with_a_line_break_forges_no_line() -> None:
    plugin = {"@type": WASM, "config": {"name": "n\n  problem    none", "vm_config": {"code": {}}}}
    shown = render(status("dump", dump([{"name": "x", "typed_config": plugin}], name="l\nx"), {}))
    assert "n\\n  problem    none: HTTP filter of listener l\\nx" in shown


# -- a real Envoy


def make_config(pwasm: Pwasm, *options: str) -> None:
    result = pwasm("config", "main.wasm", "-o", "new.yaml", "--port", "0", "--admin-port", "0", *options)
    assert result.code == 0, result.err


def get(url: str, data: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(url, data=data, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.envoy
def test_a_filter_that_crashed(pwasm: Pwasm, tmp_path: Path) -> None:
    module = http_module(tmp_path / "main.wasm")
    make_config(pwasm, "--name", "small")
    with Envoy(tmp_path / "new.yaml", cwd=tmp_path) as envoy:
        found = json.loads(pwasm("status", "--admin", envoy.admin_url, "--json").out)
        assert found["problems"] == []
        (row,) = found["filters"]
        assert (row["name"], row["listener"], row["failure_policy"]) == ("small", "http", "FAIL_RELOAD")
        assert row["code"] == {"how": "local", "source": str(module)}
        assert row["sha256"] == hashlib.sha256(module.read_bytes()).hexdigest()
        assert row["vms"] == found["vms"]["envoy.wasm.runtime.v8"]["active"] > 0
        assert (row["reloads"], row["restricted"]) == (0, True)
        assert get(envoy.url, b"a body, on which it traps") == 503
        deadline = time.monotonic() + 20
        while get(envoy.url) != 200:  # Envoy waits about a second before it makes the VM anew
            assert time.monotonic() < deadline
            time.sleep(0.05)
        shown = pwasm("status", "--admin", envoy.admin_url).out
        assert "the VM crashed and was reloaded 1 times" in shown
        log = "".join(record.raw + "\n" for record in envoy.log)
    (tmp_path / "envoy.log").write_text(log)
    explained = json.loads(pwasm("status", "--log", "envoy.log", "--json").out)["log"]
    assert any("The VM crashed" in item["meaning"] for item in explained)


@pytest.mark.envoy
def test_an_update_that_was_refused(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    make_config(pwasm, "--name", "small", "--ecds", "filter.yaml")
    with Envoy(tmp_path / "new.yaml", cwd=tmp_path) as envoy:
        (row,) = json.loads(pwasm("status", "--admin", envoy.admin_url, "--json").out)["filters"]
        assert (row["ecds"], row["updates"], row["updates_rejected"]) == (True, 1, 0)
        make_config(pwasm, "--name", "small", "--ecds", "filter.yaml", "--filename", "/nowhere/main.wasm")
        refused = envoy.wait_for_log("update rejected")
        (row,) = json.loads(pwasm("status", "--admin", envoy.admin_url, "--json").out)["filters"]
        assert row["updates_rejected"] == 1
        assert "the last good version is serving" in row["problems"][0]
        assert get(envoy.url) == 200
    assert explanation_of(refused.raw) is not None


@contextmanager
def server(answer: bytes, status: int = 200) -> Iterator[str]:
    """A server on loopback that answers everything with `answer`; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}"
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


# -- bad input


def test_nobody_there(pwasm: Pwasm) -> None:
    result = pwasm("status", "--admin", "http://127.0.0.1:1")
    assert (result.code, result.out) == (1, "")
    assert "is Envoy running?" in result.err


def test_one_that_sends_without_end(pwasm: Pwasm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of each read is limited, and that of all of them."""
    monkeypatch.setattr(admin, "SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for _ in range(600):
                    connection.sendall(b"[")
                    time.sleep(0.1)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        result = pwasm("status", "--admin", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(30)
    assert not thread.is_alive()
    assert (result.code, "timed out" in result.err) == (1, True), result.err


@pytest.mark.parametrize(("answer", "code"), [(b"<html>", 200), (b"{}", 200), (b"[]", 200), (b"not here", 404)])
def test_something_else_than_an_admin_interface(pwasm: Pwasm, answer: bytes, code: int) -> None:
    with server(answer, code) as url:
        result = pwasm("status", "--admin", url)
    assert (result.code, result.out) == (1, "")
    assert "is not an Envoy's admin interface" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--admin", "https://x"], 2, "not the URL of an admin interface"),
        (["--admin", "http://x:y"], 2, "not the URL of an admin interface"),
        (["--admin", "http://a..b"], 1, "no response from http://a..b"),
        (["--admin", f"http://{'a' * 64}.b"], 1, "no response from"),
        (["--admin", "http://127.0.0.1:1/é"], 1, "no response from"),
        (["--admin", "http://a b"], 1, "no response from http://a b"),
        (["--admin", "http://x", "--dump", "y"], 2, "are mutually exclusive"),
        (["--dump", "nowhere"], 2, "nowhere: no such file or directory"),
        (["--dump", "text"], 1, "is not a config_dump"),
        (["--dump", "list"], 1, "is not a config_dump"),
        (["--log", "nowhere"], 2, "nowhere: no such file or directory"),
    ],
)
def test_bad_calls(pwasm: Pwasm, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "list").write_text("[]")
    result = pwasm("status", *arguments)
    assert (result.code, result.out) == (code, "")
    assert said in result.err


@pytest.mark.parametrize("body", [b"-5\r\nx", b"zz\r\n", b"ffffffffffffffffffffff\r\nx", b""])
def test_an_admin_interface_that_counts_wrongly(pwasm: Pwasm, body: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            taken, _ = listening.accept()
            with taken:
                taken.recv(1 << 16)
                taken.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        result = pwasm("status", "--admin", url)
        thread.join()
    assert (result.code, result.out) == (1, "")
    assert f"no response from {url}" in result.err


@pytest.mark.parametrize("found", [[1], [{"name": ["x"], "value": 1}], [{"name": "x"}], [None, {"value": 2}]])
def test_statistics_of_another_form(found: list[Any]) -> None:
    with server(json.dumps({"stats": found}).encode()) as url:
        assert stats(url) == {}


# -- what messages mean

GOOD = """
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
"""
BAD_MODULES = {
    # what is wrong with the module → its text, and what is said
    "not Wasm": (b"<html>not found</html>", "damaged or not Wasm"),
    "no ABI": ('(memory (export "memory") 1)', "not a Proxy-Wasm module"),
    "no allocator": ('(memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))', "no allocator"),
    "unknown import": ('(import "env" "proxy_fly" (func))' + GOOD, "lacks a function"),
    "wrong import": ('(import "env" "proxy_log" (func (param i64)))' + GOOD, "different signature"),
    "too much memory": (GOOD.replace('"memory") 1', '"memory") 16385'), "VM could not be created"),
    "does not start": (
        GOOD + '(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))',
        "failed to start",
    ),
}  # fmt: skip


@pytest.mark.envoy
@pytest.mark.parametrize("fault", BAD_MODULES)
def test_what_envoy_says_of_a_bad_module(pwasm: Pwasm, tmp_path: Path, fault: str) -> None:
    text, said = BAD_MODULES[fault]
    module = text if isinstance(text, bytes) else wasmtime.wat2wasm(f"(module {text})")
    http_module(tmp_path / "good.wasm")
    (tmp_path / "main.wasm").write_bytes(module)
    result = pwasm("config", "good.wasm", "--filename", "main.wasm", "-o", "new.yaml", "--no-restriction")
    assert result.code == 0
    assert said in explained_by_envoy(pwasm, tmp_path)


def explained_by_envoy(pwasm: Pwasm, folder: Path) -> str:
    """The explanation by `pwasm status --log` of the output of `envoy --mode validate` for new.yaml."""
    command = [str(find_envoy()), "--mode", "validate", "-c", "new.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    (folder / "log").write_bytes(done.stderr)
    said: str = pwasm("status", "--log", "log").out
    return said


BAD_CONFIGURATIONS = [
    # what is replaced by what → what is said
    ("main.wasm", "nowhere.wasm", "cannot find the module's file"),
    ("envoy.wasm.runtime.v8", "envoy.wasm.runtime.v9", "runtime does not exist"),
    ("failure_policy", "failure_polcy", "field that this Envoy does not know"),
]


@pytest.mark.envoy
@pytest.mark.parametrize(("before", "after", "said"), BAD_CONFIGURATIONS)
def test_what_envoy_says_of_a_bad_configuration(
    pwasm: Pwasm, tmp_path: Path, before: str, after: str, said: str
) -> None:
    http_module(tmp_path / "main.wasm")
    make_config(pwasm)
    text = (tmp_path / "new.yaml").read_text()
    assert before in text
    (tmp_path / "new.yaml").write_text(text.replace(before, after))
    assert said in explained_by_envoy(pwasm, tmp_path)


@pytest.mark.parametrize("source", ["/dev/zero", "/a\0b", "/a\ud800", "/no/such/file", "/"])
def test_a_file_whose_name_an_envoy_has_made_up_is_not_read(source: str) -> None:
    code = Code("local", source)
    assert _with_digest(code, local=True) == code
