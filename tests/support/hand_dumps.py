"""config_dumps WRITTEN BY HAND, in the form that Envoy in a mesh gives (see RATIONALE about Istio's dumps)."""

from __future__ import annotations

from typing import Any

TYPE = "type.googleapis.com/"
WASM = TYPE + "envoy.extensions.filters.http.wasm.v3.Wasm"
RBAC = TYPE + "envoy.extensions.filters.http.rbac.v3.RBAC"
MANAGER = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def dump(http_filters: list[Any], ecds: dict[str, Any] | None = None, **listener: Any) -> dict[str, Any]:
    """A dump WRITTEN BY HAND in the form that Envoy in an Istio proxy gives: a listener that came over xDS."""
    manager = {"@type": MANAGER, "http_filters": http_filters}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "0.0.0.0", "port_value": 15006}}
    made = {"name": "virtualInbound", "address": address, "filter_chains": [chain, chain], **listener}
    filters = [{"ecds_filter": {"name": name, "typed_config": config}} for name, config in (ecds or {}).items()]
    return {
        "configs": [
            {
                "@type": TYPE + "envoy.admin.v3.ListenersConfigDump",
                "dynamic_listeners": [{"name": "virtualInbound", "active_state": {"listener": made}}],
            },
            {"@type": TYPE + "envoy.admin.v3.EcdsConfigDump", "ecds_filters": filters},
        ]
    }
