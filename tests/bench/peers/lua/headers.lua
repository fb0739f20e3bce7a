-- The "headers" scenario with Envoy's own Lua filter; what every peer does stands in scenarios.py.
function envoy_on_request(handle)
  handle:logDebug("request headers")
end

function envoy_on_response(handle)
  handle:headers():add("x-wasm-custom", "FOO")
end
