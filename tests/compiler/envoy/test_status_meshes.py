"""`pwasm status` on what the meshes make of an Envoy.

Real Envoys in the shape of Envoy Gateway's (disabled in the connection manager, enabled by routes) and Istio's (ECDS,
with the counters that Istio's bootstrap keeps); and dumps WRITTEN BY HAND for what cannot be had without a mesh.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wasmtime
import yaml

from pwasm_compiler.envoy.dump import refusals, wasm_filters
from pwasm_compiler.envoy.log_hints import explain
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.envoy.status import render, status, to_json
from tests.support.command_line import Pwasm
from tests.support.hand_dumps import MANAGER, RBAC, TYPE, WASM, dump
from tests.support.small_modules import http_module
from tests.support.wire import request

OVERRIDE = TYPE + "envoy.config.route.v3.FilterConfig"
GATEWAY_NAME = "envoy.filters.http.wasm/envoyextensionpolicy/default/p/wasm/0"
ISTIO_NAME = "extensions.istio.io/wasmplugin/web.hello"
ISTIO_STATS = "cluster_manager,listener_manager,server,cluster.xds-grpc,wasm"
"""requiredEnvoyStatsMatcherInclusionPrefixes of Istio 1.25 to 1.32 (pkg/bootstrap/config.go)."""
REFUSES = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0)))
"""


def answer(envoy: Envoy, path: str = "/") -> tuple[int, bytes | None]:
    """The status of a response, and what the filter adds to it."""
    (address,) = envoy.listeners().values()
    message = request(address, path)
    return message.status, message.one("x-small")


def write_config(pwasm: Pwasm, *options: str) -> dict[str, Any]:
    result = pwasm("config", "main.wasm", "-o", "new.yaml", "--port", "0", "--admin-port", "0", *options)
    assert result.code == 0, result.err
    document = yaml.safe_load(Path("new.yaml").read_text())  # `pwasm` has changed the working directory
    assert isinstance(document, dict)
    return document


def save(file: Path, document: Any) -> Path:
    file.write_text(json.dumps(document))
    return file


def listener_of(document: dict[str, Any]) -> dict[str, Any]:
    (listener,) = document["static_resources"]["listeners"]
    assert isinstance(listener, dict)
    return listener


def manager_of(document: dict[str, Any]) -> dict[str, Any]:
    manager = listener_of(document)["filter_chains"][0]["filters"][0]["typed_config"]
    assert isinstance(manager, dict)
    return manager


def report_of(pwasm: Pwasm, envoy: Envoy, *options: str) -> dict[str, Any]:
    found = json.loads(pwasm("status", "--admin", envoy.admin_url, "--json", *options).out)
    assert isinstance(found, dict)
    return found


# -- Envoy Gateway: disabled in the connection manager, enabled by routes


def route(path: str, name: str, **more: Any) -> dict[str, Any]:
    answer = {"status": 200, "body": {"inline_string": "hello"}}
    return {"name": name, "match": {"prefix": path}, "direct_response": answer, **more}


def per_route(**fields: Any) -> dict[str, Any]:
    return {"typed_per_filter_config": {GATEWAY_NAME: {"@type": OVERRIDE, **fields}}}


def as_envoy_gateway(document: dict[str, Any], routes: list[dict[str, Any]]) -> None:
    """The form that internal/xds/translator/wasm.go of Envoy Gateway 1.1 to 1.9.0 gives a filter and its routes."""
    manager = manager_of(document)
    wasm = manager["http_filters"][0]
    wasm |= {"name": GATEWAY_NAME, "disabled": True}
    del wasm["typed_config"]["config"]["failure_policy"]
    manager["route_config"] = {
        "name": "default/g/http",
        "virtual_hosts": [{"name": "default/g/http/all", "domains": ["*"], "routes": routes}],
    }


@pytest.mark.envoy
def test_envoy_gateways_filters_are_enabled_by_routes(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    document = write_config(pwasm, "--name", "p")
    as_envoy_gateway(document, [route("/on", "route/on", **per_route(config={})), route("/", "route/rest")])
    with Envoy(save(tmp_path / "gateway.json", document), cwd=tmp_path) as envoy:
        assert answer(envoy, "/on") == (200, b"VALUE")
        assert answer(envoy) == (200, None)
        found = report_of(pwasm, envoy)
        text = pwasm("status", "--admin", envoy.admin_url).out
    (row,) = found["filters"]
    assert (row["product"], row["disabled"]) == ("Envoy Gateway", True)
    assert row["routes"] == {"all": 2, "enabled": ["route/on"]}
    assert found["problems"] == []
    assert "enabled by route" in text
    assert "routes     1 of 2: route/on" in text
    assert "an EnvoyExtensionPolicy cannot set FAIL_RELOAD" in text


LEVELS = {
    # where the entries are → on which routes the filter runs
    "nowhere": ({}, {}, {}, []),
    "on the route": ({}, {}, per_route(config={}), ["a"]),
    "on the virtual host": ({}, per_route(config={}), {}, ["a", "b"]),
    "on the route configuration": (per_route(config={}), {}, {}, ["a", "b"]),
    "on the host, not on a route": ({}, per_route(config={}), per_route(disabled=True), ["b"]),
    "off by name, on by route": (per_route(disabled=True), {}, per_route(config={}), ["a"]),
}


def with_routes(table: dict[str, Any], *, rds: bool = False, disabled: bool = True) -> dict[str, Any]:
    config = {"@type": WASM, "config": {"name": "p"}}
    document = dump([{"name": GATEWAY_NAME, "disabled": disabled, "typed_config": config}])
    chains = document["configs"][0]["dynamic_listeners"][0]["active_state"]["listener"]["filter_chains"]
    (manager,) = {id(item): item for chain in chains for item in chain["filters"]}.values()
    assert manager["typed_config"]["@type"] == MANAGER
    if rds:
        manager["typed_config"]["rds"] = {"route_config_name": "t"}
        routes = {"@type": TYPE + "envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": [{"route_config": table}]}
        document["configs"].append(routes)
    else:
        manager["typed_config"]["route_config"] = table
    return document


@pytest.mark.parametrize("rds", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_the_most_specific_entry_counts(level: str, rds: bool) -> None:
    of_table, of_host, of_route, enabled = LEVELS[level]
    routes = [route("/a", "a", **of_route), route("/b", "b")]
    table = {"name": "t", "virtual_hosts": [{"name": "h", "routes": routes, **of_host}], **of_table}
    (row,) = status("dump", with_routes(table, rds=rds), {}).rows
    assert row.filter.routes is not None
    assert (list(row.filter.routes.every), list(row.filter.routes.enabled)) == (["a", "b"], enabled)
    assert any("no route enables it" in problem for problem in row.problems) == (not enabled)


def test_weighted_clusters_routes_without_names_and_filters_that_routes_disable() -> None:
    clusters = [{"name": "x", **per_route(disabled=True)}, {"name": "y"}]
    unnamed = {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}}
    off = route("/off", "off", **per_route(disabled=True))
    table = {"name": "t", "virtualHosts": [{"name": "h", "routes": [unnamed, off]}]}
    (row,) = status("dump", with_routes(table, disabled=False), {}).rows
    assert row.filter.routes is not None
    assert row.filter.routes.every == ("t/h[0]", "off")
    assert row.filter.routes.enabled == ("t/h[0]",)


def test_routes_that_have_not_arrived() -> None:
    document = with_routes({"name": "another"}, rds=True)
    found = status("dump", document, {})
    assert "routes     unknown" in render(found)
    assert not any("no route" in problem for problem in found.problems)


# -- Istio: ECDS, without its counters


def as_istio(document: dict[str, Any]) -> None:
    prefixes = [{"prefix": prefix} for prefix in ISTIO_STATS.split(",")]
    document["stats_config"] = {"stats_matcher": {"inclusion_list": {"patterns": prefixes}}}


@pytest.mark.envoy
def test_an_update_that_was_refused_where_envoy_does_not_count_them(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    (tmp_path / "bad.wasm").write_bytes(wasmtime.wat2wasm(REFUSES))
    document = write_config(pwasm, "--name", "small", "--ecds", "filter.yaml", "--no-restriction")
    as_istio(document)
    with Envoy(save(tmp_path / "istio.json", document), cwd=tmp_path) as envoy:
        write_config(pwasm, "--name", "small", "--ecds", "filter.yaml", "--filename", "bad.wasm", "--no-restriction")
        envoy.wait_for_log("update rejected")
        assert answer(envoy) == (200, b"VALUE")
        without = report_of(pwasm, envoy)
        text = pwasm("status", "--admin", envoy.admin_url).out
        (tmp_path / "log").write_text("".join(record.raw + "\n" for record in envoy.log))
        with_log = report_of(pwasm, envoy, "--log", "log")
    (row,) = without["filters"]
    assert (row["updates"], row["updates_rejected"], row["problems"]) == (None, None, [])
    assert "the version shown here may be a rejected one" in text
    (problem,) = with_log["filters"][0]["problems"]
    assert "Unable to create Wasm plugin small" in problem


@pytest.mark.envoy
def test_a_first_version_that_was_refused(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    (tmp_path / "bad.wasm").write_bytes(wasmtime.wat2wasm(REFUSES))
    options = ("--name", "small", "--ecds", "filter.yaml", "--filename", "bad.wasm", "--no-restriction")
    document = write_config(pwasm, *options)
    as_istio(document)
    with Envoy(save(tmp_path / "istio.json", document), cwd=tmp_path) as envoy:
        assert answer(envoy)[0] == 500
        (problem,) = report_of(pwasm, envoy)["problems"]
    assert "small: no VM is running" in problem
    assert "500" in problem


@pytest.mark.envoy
def test_a_listener_that_was_refused(pwasm: Pwasm, tmp_path: Path) -> None:
    http_module(tmp_path / "main.wasm")
    document = write_config(pwasm, "--name", "small")
    listener = {"@type": TYPE + "envoy.config.listener.v3.Listener", **listener_of(document)}
    document["static_resources"].pop("listeners")
    document["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(tmp_path / "lds.json")}}}
    document["node"] = {"id": "pwasm", "cluster": "pwasm"}

    def publish(number: int, what: Any) -> None:
        save(tmp_path / "lds.new", {"version_info": str(number), "resources": [what]}).replace(tmp_path / "lds.json")

    publish(1, listener)
    with Envoy(save(tmp_path / "new.json", document), cwd=tmp_path) as envoy:
        assert report_of(pwasm, envoy)["problems"] == []
        publish(2, json.loads(json.dumps(listener).replace("main.wasm", "nowhere.wasm")))
        envoy.wait_for_log("update rejected")
        found = report_of(pwasm, envoy)
        text = pwasm("status", "--admin", envoy.admin_url).out
    (refused,) = found["refused_listeners"]
    assert refused["listener"] == "http"
    assert "nowhere.wasm" in refused["why"]
    assert found["problems"] == [f"listener http: its latest configuration was rejected: {refused['why']}"]
    assert found["listeners_rejected"] == 1
    assert "its latest configuration was rejected" in text


def test_refused_listeners_without_wasm_are_left_out() -> None:
    failed = {"name": "x", "filter_chains": [{"filters": [{"name": "y"}]}]}
    document = dump([])
    document["configs"][0]["dynamic_listeners"] = [{"error_state": {"failed_configuration": failed, "details": "z"}}]
    assert refusals(document) == []


def hello(**plugin: Any) -> dict[str, Any]:
    return {"@type": WASM, "config": {"name": "web.hello", **plugin}}


def istio_dump(config: dict[str, Any], version: str | None = None, entry: str = ISTIO_NAME) -> dict[str, Any]:
    discovery = {"config_source": {"ads": {}}, "type_urls": [WASM, RBAC]}
    document = dump([{"name": entry, "config_discovery": discovery}], {entry: config})
    if version is not None:
        node = {"metadata": {"ISTIO_VERSION": version}}
        document["configs"].append({"@type": TYPE + "envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": node}})
    return document


def test_an_error_that_a_newer_envoy_may_report_for_ecds() -> None:
    """Written by hand: the field is in Envoy's API (admin/v3), and 1.40 does not fill it."""
    document = istio_dump(hello(failure_policy="FAIL_RELOAD"))
    document["configs"][1]["ecds_filters"][0]["error_state"] = {"details": "Unable to create Wasm plugin"}
    (row,) = status("dump", document, {}).rows
    assert row.problems == ("an update was rejected: Unable to create Wasm plugin",)


def test_the_agents_file_is_named_by_the_images_digest() -> None:
    digest = "ab" * 32
    code = {"local": {"filename": f"/var/lib/istio/data/{'cd' * 32}/{digest}.wasm"}}
    found = status("dump", istio_dump(hello(vm_config={"code": code}, failure_policy="FAIL_RELOAD")), {})
    row = to_json(found)["filters"][0]
    assert (row["sha256"], row["fetched_digest"]) == (None, digest)
    assert "sha256    " not in render(found)
    assert f"fetched    sha256:{digest}" in render(found)


RELOADS = {
    # the filter's name in the list, Istio's version → what is said of FAIL_RELOAD, and whether it is a problem
    "Istio 1.30": (ISTIO_NAME, "1.30.1", "set failStrategy FAIL_RELOAD", True),
    "Istio 1.26": (ISTIO_NAME, "1.26.8", "needs Istio 1.27", False),
    "Istio of unknown version": (ISTIO_NAME, None, "Istio 1.27 or later", True),
    "Higress": ("extenstions.istio.io/wasmplugin/higress-system.a-1.0.0", "1.19.5", "Higress cannot set", False),
    "Envoy Gateway": (GATEWAY_NAME, None, "EnvoyExtensionPolicy cannot set", False),
    "Envoy": ("a", None, "set failure_policy FAIL_RELOAD", True),
}


@pytest.mark.parametrize("product", RELOADS)
def test_what_a_product_cannot_express_is_no_problem(product: str) -> None:
    entry, version, said, problem = RELOADS[product]
    found = status("dump", istio_dump(hello(), version, entry), {})
    assert said in render(found)
    assert any("FAIL_RELOAD" in text for text in found.problems) == problem


def test_an_envoy_before_1_33_cannot_reload() -> None:
    number = {"user_agent_build_version": {"version": {"major_number": 1, "minor_number": 32}}}
    document = istio_dump(hello(), entry="a")
    document["configs"].append({"@type": TYPE + "envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": number}})
    found = status("dump", document, {})
    assert found.problems == []
    assert "FAIL_RELOAD needs Envoy 1.33" in render(found)


def test_a_tcp_filter_that_istio_replaced() -> None:
    network = {"@type": TYPE + "envoy.extensions.filters.network.rbac.v3.RBAC", "rules": {}}
    wasm = TYPE + "envoy.extensions.filters.network.wasm.v3.Wasm"
    document = istio_dump(network | {"stat_prefix": "wasm-default-deny"})
    manager = document["configs"][0]["dynamic_listeners"][0]["active_state"]["listener"]["filter_chains"][0]
    manager["filters"] = [{"name": ISTIO_NAME, "config_discovery": {"type_urls": [wasm]}}]
    (row, *_) = status("dump", document, {}).rows
    assert (row.filter.kind, row.filter.replaced_by) == ("TCP filter", "deny")
    assert "every connection is closed" in row.problems[0]


def test_the_log_names_the_plugin() -> None:
    log = explain(["Unable to create Wasm plugin web.hello", "Unable to create Wasm plugin web.hello-2"])
    document = istio_dump(hello(failure_policy="FAIL_RELOAD"))
    (row,) = status("dump", document, {}, log=log).rows
    assert row.problems == (
        "the log says that it did not load, or that an update was rejected: Unable to create Wasm plugin web.hello",
    )
    assert len(wasm_filters(document)) == 1
