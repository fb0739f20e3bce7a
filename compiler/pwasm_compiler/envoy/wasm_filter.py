"""One Wasm plugin in Envoy's configuration: the only writer of PluginConfig and VmConfig, for each version of Envoy."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pwasm_compiler import held_headers
from pwasm_compiler.envoy.kinds import FILTER_NAMES, WASM, Json, Kind, typed
from pwasm_compiler.envoy.module import Remote
from pwasm_compiler.errors import UsageError

NEWEST = (1, 40)
"""The newest Envoy known to pwasm."""
RELOAD_SINCE = (1, 33)
"""The first Envoy with `failure_policy`; older ones reject a configuration with it."""
RESTRICTED_VM_SINCE = (1, 40)
"""The first Envoy with the restriction in VmConfig. Older ones reject it there, newer ones warn elsewhere."""
FETCH_TIMEOUT = "30s"
FETCH_RETRIES: Json = {"num_retries": 10, "retry_back_off": {"base_interval": "1s", "max_interval": "30s"}}
"""Envoy's own are one retry after at most a second; then it never tries again, and answers 503 (RATIONALE)."""
_RESTRICTION = "capability_restriction_config"
_SNAKE_CASE = {"keyValues": "key_values", "hostEnvKeys": "host_env_keys"}
"""The kept configuration's names of the fields of EnvironmentVariables, where they are not those of the protobuf."""

Payload = str | bytes | Mapping[str, Any]
"""A plugin's configuration; a mapping is passed as JSON text."""


@dataclass(frozen=True)
class WasmFilter:
    """One Wasm plugin: Envoy's PluginConfig with its VmConfig.

    `path` locates the code: a file, which Envoy resolves against its working directory, or a `Remote`.
    `reload_backoff_seconds` is Envoy's base interval (default 1 s); with 1 ms, Envoy 1.40 crashes at the first reload.
    """

    path: str | Path | Remote
    kind: Kind = "http"
    name: str = ""
    root_id: str = ""
    vm_id: str = ""
    configuration: Payload | None = None
    vm_configuration: Payload | None = None
    failure_policy: str | None = None
    """None means the kept one, else FAIL_RELOAD if the Envoy supports it."""
    reload_backoff_seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    host_environment: Sequence[str] = ()
    """Variables inherited from Envoy's own environment."""
    need: str | None = None
    """What the module records for this `root_id` about holding headers (see `pwasm_compiler.held_headers`)."""
    hold_headers: bool | None = None
    """Whether Envoy and the SDK hold streams by their headers: the option and the variable of `held_headers`.

    None means as the kept one says, else as the module needs it.
    """
    allow_on_headers_stop_iteration: bool | None = None
    """The option without the variable, to test such a host; everything else uses `hold_headers`."""
    singleton: bool = False
    """Kind "plugin" only: one VM in the main thread instead of one per worker."""
    capabilities: Sequence[str] = ()
    """The functions it may call and the callbacks it may have; if empty, it is not restricted."""
    kept: Json = field(default_factory=dict)
    """The PluginConfig that it replaces, with keys in snake_case: what is unspecified here is kept from there."""
    envoy: tuple[int, int] = NEWEST
    """Version of the target Envoy; fields have moved between versions."""

    def to_json(self) -> Json:
        """The filter as an entry in a list of filters (or of bootstrap extensions)."""
        return {"name": FILTER_NAMES[self.kind], "typed_config": self.message()}

    @property
    def holds(self) -> bool:
        """Whether the option and the variable are written."""
        return self.envoy >= held_headers.SINCE and bool(self._wants_headers_held())

    def _wants_headers_held(self) -> bool | None:
        """None if nobody has said anything about it: then neither is touched."""
        if self.hold_headers is not None:
            return self.hold_headers
        if self.need is None:
            return None
        return bool(self.kept.get(held_headers.OPTION, True))

    def message(self) -> Json:
        """Its typed_config.

        Raises:
            UsageError: headers must be held, and the Envoy, or the kept configuration, does not do that.
        """
        service = {"singleton": True} if self.kind == "plugin" and self.singleton else {}
        return typed(WASM[self.kind], config=self._plugin_config(), **service)

    def _plugin_config(self) -> Json:
        self._refuse_unheld()
        wanted = self._wants_headers_held()
        dropped = {_RESTRICTION} if wanted is None else {_RESTRICTION, held_headers.OPTION}
        kept = {key: value for key, value in self.kept.items() if key not in dropped}
        plugin: Json = {"name": self.name, **kept, **_given(root_id=self.root_id or None)}
        plugin |= {"name": self.name, **self._policy(), "vm_config": self._vm_config(kept.get("vm_config", {}))}
        backoff = self.reload_backoff_seconds
        plugin |= _given(
            configuration=_payload(self.configuration),
            reload_config=None if backoff is None else {"backoff": {"base_interval": f"{backoff:.3f}s"}},
            allow_on_headers_stop_iteration=self.allow_on_headers_stop_iteration if wanted is None else self._option(),
        )
        if self.capabilities:
            allowed: Json = {name: {} for name in self.capabilities}
            place = plugin["vm_config"] if self.envoy >= RESTRICTED_VM_SINCE else plugin
            place[_RESTRICTION] = {"allowed_capabilities": allowed}
        return plugin if self.failure_policy is None else _without_other_policy(plugin)

    def _refuse_unheld(self) -> None:
        if self.holds or not (self.hold_headers or (self.hold_headers is None and self.need == held_headers.REQUIRED)):
            return
        if self.envoy < held_headers.SINCE:
            raise held_headers.too_old(self.envoy)
        raise UsageError(
            "the filter changes headers after seeing the body, but its configuration says"
            f" {held_headers.OPTION}: false",
            hint="remove that, or override it with --hold-headers",
        )

    def _option(self) -> bool | None:
        """The value of the option: nothing for false, unless the kept one says so."""
        return True if self.holds else False if self.kept.get(held_headers.OPTION) is False else None

    def _variables(self, kept: Json) -> Json:
        """The environment, with or without the variable that goes with the option; empty if there is none."""
        given: Json = {"key_values": dict(self.environment), "host_env_keys": list(self.host_environment)}
        given = {key: value for key, value in given.items() if value}
        if self._wants_headers_held() is None:
            return given or kept
        made = given or {_SNAKE_CASE.get(key, key): value for key, value in kept.items()}
        values = {key: value for key, value in made.get("key_values", {}).items() if key != held_headers.VARIABLE}
        inherited = [key for key in made.get("host_env_keys", ()) if key != held_headers.VARIABLE]
        if self.holds:
            values[held_headers.VARIABLE] = held_headers.VALUE
        return {key: value for key, value in (("key_values", values), ("host_env_keys", inherited)) if value}

    def _policy(self) -> Json:
        if self.failure_policy is None and {"failure_policy", "fail_open"} & set(self.kept):
            return {}
        if self.envoy >= RELOAD_SINCE:
            return {"failure_policy": self.failure_policy or "FAIL_RELOAD"}
        return {"fail_open": True} if self.failure_policy == "FAIL_OPEN" else {}

    def _vm_config(self, kept: Json) -> Json:
        variables = self._variables(kept.get("environment_variables") or {})
        dropped = {_RESTRICTION} if variables else {_RESTRICTION, "environment_variables"}
        return {
            "runtime": "envoy.wasm.runtime.v8",
            **{key: value for key, value in kept.items() if key not in dropped},
            **_given(vm_id=self.vm_id or None),
            "code": self._code(),
            **_given(configuration=_payload(self.vm_configuration), environment_variables=variables or None),
        }

    def _code(self) -> Json:
        if not isinstance(self.path, Remote):
            return {"local": {"filename": str(self.path)}}
        kept = _at(self.kept, "vm_config", "code", "remote")
        uri = {"uri": self.path.url, "cluster": self.path.cluster}
        uri["timeout"] = _at(kept, "http_uri").get("timeout", FETCH_TIMEOUT)
        policy = kept.get("retry_policy", FETCH_RETRIES)
        return {"remote": {"http_uri": uri, "sha256": self.path.sha256, "retry_policy": policy}}


def version_of(text: str) -> tuple[int, int]:
    """The version of Envoy in `1.40.0`; the newest known if Envoy does not report one."""
    major, _, rest = text.partition(".")
    return (int(major), int(rest.partition(".")[0])) if text else NEWEST


def _without_other_policy(plugin: Json) -> Json:
    """Envoy accepts either failure_policy or its old name, not both."""
    return {key: value for key, value in plugin.items() if key != "fail_open" or "failure_policy" not in plugin}


def _payload(value: Payload | None) -> Json | None:
    """The `Any` from which Envoy passes exactly these bytes to the plugin.

    A Struct would not work for a mapping: Envoy converts it back to JSON with every number a double.
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        return typed("google.protobuf.BytesValue", value=base64.b64encode(value).decode("ascii"))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return typed("google.protobuf.StringValue", value=text)


def _at(value: Json, *keys: str) -> Json:
    """The message in a kept configuration at this path; empty if there is none."""
    for key in keys:
        value = value.get(key) or {}
        if not isinstance(value, dict):
            return {}
    return value


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
