"""A configuration from which a filter is moved into a separate file: nothing else may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pwasm_compiler.envoy.ecds import discover, publish
from pwasm_compiler.errors import PwasmError

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
BLOCK = f"""\
# a comment that stays
static_resources:
  listeners:
  - name: y  # not a boolean for us
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": some.Manager
          http_filters:
          - name: first
            typed_config:
              "@type": {WASM}
              config:
                configuration:
                  "@type": type.googleapis.com/google.protobuf.StringValue
                  value: |
                    {{"on": 0x10}}
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{local: {{filename: main.wasm}}}}   # the module
                fail_open: on

          # between the filters
          - name: second
            disabled: true
            typedConfig: {{ "@type": {WASM},
              config: {{ vmConfig: {{ code: {{ local: {{ filename: "./main.wasm" }} }} }} }} }}
          - name: other
            typed_config:
              "@type": {WASM}
              config: {{vm_config: {{code: {{local: {{filename: other.wasm}}}}}}}}
          - name: router
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "main.wasm"
    file.write_bytes(b"module one")
    return file


def filters(text: str) -> list[dict[str, Any]]:
    (listener,) = yaml.safe_load(text)["static_resources"]["listeners"]
    found: list[dict[str, Any]] = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    return found


def test_filters_are_moved_as_they_are(tmp_path: Path, module: Path) -> None:
    text, slots = discover(BLOCK, module, tmp_path, tmp_path)
    before, after = filters(BLOCK), filters(text)
    assert [item["name"] for item in after] == ["first", "second", "other", "router"]
    assert after[2:] == before[2:]
    assert after[1]["disabled"] is True
    assert "# a comment that stays" in text
    assert "# between the filters" in text
    publish(slots, 1, module)
    for number, key in ((0, "typed_config"), (1, "typedConfig")):
        discovery = after[number]["config_discovery"]
        assert key not in after[number]
        assert discovery["type_urls"] == [WASM]
        file = Path(discovery["config_source"]["path_config_source"]["path"])
        (resource,) = yaml.safe_load(file.read_text())["resources"]
        assert resource["name"] == before[number]["name"]
        code = resource["typed_config"]["config"].get("vm_config") or resource["typed_config"]["config"]["vmConfig"]
        copy = code["code"]["local"].pop("filename")
        assert Path(copy).read_bytes() == b"module one"
        old = before[number][key]["config"]
        del (old.get("vm_config") or old["vmConfig"])["code"]["local"]["filename"]
        assert resource["typed_config"] == before[number][key]
    first = slots[0].file.read_text()
    assert "fail_open: on" in first, "a word stays the word it was: Envoy and Python read some differently"
    assert "0x10" in first


def test_json_is_yaml(tmp_path: Path, module: Path) -> None:
    config = yaml.safe_load(BLOCK)
    config["node"] = "größe \U0001f600"
    text, slots = discover(json.dumps(config, indent=1, ensure_ascii=False), module, tmp_path, tmp_path)
    assert [slot.name for slot in slots] == ["first", "second"]
    assert yaml.safe_load(text)["node"] == "größe \U0001f600"
    assert "config_discovery" in filters(text)[0]


def test_a_later_build_does_not_change_what_was_published(tmp_path: Path, module: Path) -> None:
    _, slots = discover(BLOCK, module, tmp_path, tmp_path)
    for version in (1, 2, 3):
        module.write_bytes(f"module {version}".encode())
        publish(slots, version, module)
    names = sorted(file.name for file in tmp_path.iterdir() if file.name != "main.wasm")
    assert names == ["ecds-0.yaml", "ecds-1.yaml", "module-2.wasm", "module-3.wasm"]
    assert 'version_info: "3"' in slots[1].file.read_text()
    assert (tmp_path / "module-2.wasm").read_bytes() == b"module 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no filter in the configuration loads main.wasm"),
        ("static_resources: {}", "no filter"),
        (BLOCK.replace("main.wasm", "no.wasm"), "no filter"),
        ("a: [", "not valid YAML"),
        (BLOCK.replace("fail_open: on", "fail_open: *x").replace("name: y", "name: &x y"), "to a separate file"),
    ],
)
def test_configurations_without_a_place(tmp_path: Path, module: Path, text: str, message: str) -> None:
    with pytest.raises(PwasmError, match=message):
        discover(text, module, tmp_path, tmp_path)


LAST = f"""\
static_resources:
  listeners:
  - filter_chains: &chains
    - filters: []
    http_filters: &filters
    - name: größe
      typed_config:
        "@type": {WASM}
        config:
          name: &name \U0001f600
          vm_config: {{code: {{local: {{filename: main.wasm}}}}}}
          END

      # not of the filter
    - name: router
"""


@pytest.mark.parametrize(
    ("end", "value"),
    [
        ("root_id: *name", {"root_id": "\U0001f600"}),  # its node stands above
        ("root_id: *name  # why", {"root_id": "\U0001f600"}),
        ("configuration: |\n            # content\n            # more", {"configuration": "# content\n# more\n"}),
        ("configuration: |+\n            # content\n\n", {"configuration": "# content\n\n\n\n"}),
        ("configuration:", {"configuration": None}),
    ],
)
def test_a_filter_is_moved_to_its_very_end(
    tmp_path: Path, module: Path, end: str, value: dict[str, str | None]
) -> None:
    text, slots = discover(LAST.replace("END", end), module, tmp_path, tmp_path)
    assert "# not of the filter" in text
    moved, router = yaml.safe_load(text)["static_resources"]["listeners"][0]["http_filters"]
    assert moved.keys() == {"name", "config_discovery"}
    assert router == {"name": "router"}
    (resource,) = yaml.safe_load(slots[0].text(1, module))["resources"]
    config = resource["typed_config"]["config"]
    assert {key: config[key] for key in value} == value
    assert config["vm_config"]["code"]["local"]["filename"] == str(module)


def test_a_list_that_is_there_twice_has_its_filters_once(tmp_path: Path, module: Path) -> None:
    text, slots = discover(LAST.replace("END", "") + "other: {http_filters: *filters}\n", module, tmp_path, tmp_path)
    assert len(slots) == 1
    found = yaml.safe_load(text)
    assert "config_discovery" in found["other"]["http_filters"][0]


@pytest.mark.parametrize(
    "text",
    [
        f"c: &c {{'@type': {WASM}, config: {{vm_config: {{code: {{local: {{filename: main.wasm}}}}}}}}}}\n"
        "filters: [{name: x, typed_config: *c}]\n",
        f"file: &f main.wasm\nfilters: [{{name: x, typed_config: {{'@type': {WASM},"
        " config: {vm_config: {code: {local: {filename: *f}}}}}}]\n",
        f"c: &c\n  '@type': {WASM}\n  config: {{vm_config: {{code: {{local: {{filename: main.wasm}}}}}}}}\n"
        "filters:\n- name: x\n  typed_config: *c\n",
        LAST.replace("END", "vm_id: &moved x") + "other: *moved\n",
    ],
)
def test_what_stands_elsewhere_is_not_moved(tmp_path: Path, module: Path, text: str) -> None:
    with pytest.raises(PwasmError, match="avoid anchors"):
        discover(text, module, tmp_path, tmp_path)
