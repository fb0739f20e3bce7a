// The "headers" scenario with the official Go SDK; what every peer does stands in scenarios.py.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &headers{} })
}

type headers struct {
	types.DefaultHttpContext
}

func (*headers) OnHttpRequestHeaders(int, bool) types.Action {
	proxywasm.LogDebug("request headers")
	return types.ActionContinue
}

func (*headers) OnHttpResponseHeaders(int, bool) types.Action {
	if err := proxywasm.AddHttpResponseHeader("x-wasm-custom", "FOO"); err != nil {
		proxywasm.LogCritical(err.Error())
	}
	return types.ActionContinue
}
