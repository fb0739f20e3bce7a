"""tick_hello: a plugin without traffic that logs the time and a random number every second."""

import random
import time

import pwasm
from pwasm import PluginContext

TICK_MILLISECONDS = 1000


class TickHello(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.log_info("on_plugin_start from Python!")
        pwasm.set_tick_period_milliseconds(TICK_MILLISECONDS)

    def on_tick(self) -> None:
        pwasm.log_info("It's %d: random value: %d", time.time_ns(), random.getrandbits(64))


pwasm.set_plugin_context(TickHello)
