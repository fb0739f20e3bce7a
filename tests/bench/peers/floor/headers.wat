;; The "headers" scenario by hand: what any Proxy-Wasm 0.2.1 filter must at least cost; scenarios.py says what it does.
;; It has no contexts and no start-up code: Envoy calls only what is exported. The allocator must be there; Envoy uses
;; it to hand data over, and here it hands over none.
(module
  (import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $proxy_add_header (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "request headers")
  (data (i32.const 32) "x-wasm-custom")
  (data (i32.const 48) "FOO")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32) unreachable)
  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (if (call $proxy_log (i32.const 1 (; debug ;)) (i32.const 16) (i32.const 15)) (then unreachable))
    (i32.const 0 (; continue ;)))
  (func (export "proxy_on_response_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (if
      (call $proxy_add_header
        (i32.const 2 (; response headers ;)) (i32.const 32) (i32.const 13) (i32.const 48) (i32.const 3))
      (then unreachable))
    (i32.const 0 (; continue ;))))
