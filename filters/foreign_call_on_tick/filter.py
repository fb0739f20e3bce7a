"""foreign_call_on_tick: on every tick the plugin calls a foreign function of Envoy, zlib compression."""

import pwasm
from pwasm import PluginContext, foreign

TICK_MILLISECONDS = 1
DATA = b"hello world!"


class CompressOnTick(PluginContext):
    calls = 0

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.set_tick_period_milliseconds(TICK_MILLISECONDS)
        pwasm.log_info("set tick period milliseconds: %d", TICK_MILLISECONDS)

    def on_tick(self) -> None:
        self.calls += 1
        result = foreign.compress(DATA)
        pwasm.log_info("foreign function (compress) called: %d, result: %s", self.calls, result.hex())


pwasm.set_plugin_context(CompressOnTick)
