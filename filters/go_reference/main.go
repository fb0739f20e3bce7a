// go_reference: adds the header "x-wasm-custom: FOO" to each response. Its Python twin is ../hello_world.
package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Envoy calls _initialize, which runs init() but never main().
func init() {
	proxywasm.SetHttpContext(func(contextID uint32) types.HttpContext { return &addHeader{} })
}

func main() {}

type addHeader struct {
	types.DefaultHttpContext
}

func (*addHeader) OnHttpResponseHeaders(numHeaders int, endOfStream bool) types.Action {
	proxywasm.LogInfo("adding the header")
	if err := proxywasm.AddHttpResponseHeader("x-wasm-custom", "FOO"); err != nil {
		proxywasm.LogCritical("failed to add the header: " + err.Error())
		return types.ActionPause
	}
	return types.ActionContinue
}
