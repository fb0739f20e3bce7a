"""A configuration of which a filter is moved into a file of its own: nothing else may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pwasm_compiler.envoy.ecds import discover, publish
from pwasm_compiler.errors import ProjectError

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
        ("", "no filter of the configuration loads main.wasm"),
        ("static_resources: {}", "no filter"),
        (BLOCK.replace("main.wasm", "no.wasm"), "no filter"),
        ("a: [", "is not YAML"),
        (BLOCK.replace("fail_open: on", "fail_open: *x").replace("name: y", "name: &x y"), "of its own"),
    ],
)
def test_configurations_without_a_place(tmp_path: Path, module: Path, text: str, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        discover(text, module, tmp_path, tmp_path)
