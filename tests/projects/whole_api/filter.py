"""Every hostcall and callback, for the tests in tests/envoy: many filters in one module, chosen by root_id and path."""

import callout_cases
import host_cases
import http_cases
import plugins
import tcp_cases
from cases import Chooser

import pwasm

pwasm.set_vm_context(plugins.Vm)
pwasm.set_plugin_context(plugins.Plugin)
pwasm.set_http_context(Chooser)
pwasm.set_http_context(http_cases.Whole, root_id="whole")
pwasm.set_plugin_context(plugins.Ticker, root_id="ticker")
pwasm.set_plugin_context(plugins.Consumer, root_id="consumer")
pwasm.set_plugin_context(plugins.Leaver, root_id="leaver")
pwasm.set_plugin_context(tcp_cases.TcpPlugin, root_id="tcp")
pwasm.set_tcp_context(tcp_cases.Tcp, root_id="tcp")
