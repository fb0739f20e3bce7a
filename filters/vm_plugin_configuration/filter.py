"""vm_plugin_configuration: logs the configurations that Envoy passes to the VM and to the plugin."""

import pwasm
from pwasm import PluginContext, VMContext


class LogVmConfiguration(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> None:
        pwasm.log_info("vm config: %s", self.configuration.decode())


class LogPluginConfiguration(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.log_info("plugin config: %s", self.configuration.decode())


pwasm.set_vm_context(LogVmConfiguration)
pwasm.set_plugin_context(LogPluginConfiguration)
