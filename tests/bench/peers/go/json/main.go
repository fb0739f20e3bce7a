// The "json" scenario with the official Go SDK; what every peer does stands in scenarios.py.
package main

import (
	"encoding/json"
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

var names = []string{
	":method", ":path", "content-type", "accept", "accept-language",
	"authorization", "cookie", "user-agent", "x-tenant", "x-trace",
}

func main() {}

func init() {
	proxywasm.SetHttpContext(func(uint32) types.HttpContext { return &order{} })
}

type order struct {
	types.DefaultHttpContext
	read int
	id   string
}

func (o *order) OnHttpRequestHeaders(int, bool) types.Action {
	for _, name := range names {
		value, err := proxywasm.GetHttpRequestHeader(name)
		if err != nil {
			proxywasm.LogCritical(err.Error())
		}
		o.read += len(value)
	}
	return types.ActionContinue
}

func (o *order) OnHttpRequestBody(size int, end bool) types.Action {
	if !end {
		return types.ActionPause
	}
	proxywasm.LogDebug("request body")
	body, err := proxywasm.GetHttpRequestBody(0, size)
	if err == nil {
		var placed struct {
			ID string `json:"id"`
		}
		err = json.Unmarshal(body, &placed)
		o.id = placed.ID
	}
	if err != nil {
		proxywasm.LogCritical(err.Error())
	}
	return types.ActionContinue
}

func (o *order) OnHttpResponseHeaders(int, bool) types.Action {
	add("x-wasm-custom", "FOO")
	add("x-wasm-read", strconv.Itoa(o.read))
	add("x-wasm-order", o.id)
	return types.ActionContinue
}

func add(name, value string) {
	if err := proxywasm.AddHttpResponseHeader(name, value); err != nil {
		proxywasm.LogCritical(err.Error())
	}
}
