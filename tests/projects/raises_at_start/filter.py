"""Raises when the VM or the plugin starts, depending on the VM's configuration."""

import pwasm
from pwasm import HttpContext, PluginContext, VMContext


class Vm(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> bool:
        if pwasm.get_vm_configuration() == b"vm":
            raise RuntimeError("refused at start")
        return True


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        raise RuntimeError("refused at start")


pwasm.set_vm_context(Vm)
pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(HttpContext)
