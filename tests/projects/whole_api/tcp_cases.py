"""TCP connections; the plugin's configuration chooses what happens to them."""

from cases import report

import pwasm
from pwasm import Action, PeerType, PluginContext, TcpContext, foreign


class TcpPlugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.how = self.configuration.decode()
        self.held: list[int] = []
        return True

    def hold(self, context_id: int) -> Action:
        self.held.append(context_id)
        pwasm.set_tick_period_milliseconds(10)
        return Action.PAUSE

    def on_tick(self) -> None:
        for context_id in self.held:
            with pwasm.effective_context(context_id):
                report(self.how, "continues")
                pwasm.continue_tcp_stream()
        self.held.clear()
        pwasm.set_tick_period_milliseconds(0)


class Tcp(TcpContext):
    plugin: TcpPlugin

    def on_new_connection(self) -> Action | None:
        report(self.plugin.how, "on_new_connection")
        if self.plugin.how == "hold":
            return self.plugin.hold(self.context_id)
        if self.plugin.how == "other cluster":
            foreign.set_envoy_filter_state("envoy.tcp_proxy.cluster", "other")
        return None

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action | None:
        data = pwasm.get_downstream_data()
        report(self.plugin.how, ("on_downstream_data", data_size, data, end_of_stream))
        match self.plugin.how:
            case "edit" if data:
                pwasm.append_downstream_data(b" appended")
                pwasm.prepend_downstream_data(b"prepended ")
                report("edit part", pwasm.get_downstream_data(2, 3))
            case "replace" if data:
                pwasm.replace_downstream_data(b"replaced \x00\xff")
            case "hold data" if data:
                return self.plugin.hold(self.context_id)
            case "continue and pause":
                pwasm.continue_tcp_stream()
                return Action.PAUSE
            case "close downstream" if data:
                pwasm.close_downstream()
                return Action.PAUSE
            case "close upstream" if data:
                pwasm.close_upstream()
                return Action.PAUSE
        return None

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action | None:
        data = pwasm.get_upstream_data()
        report(self.plugin.how, ("on_upstream_data", data_size, data, end_of_stream))
        if self.plugin.how == "edit" and data:
            pwasm.append_upstream_data(b" added")
            pwasm.prepend_upstream_data(b"put before ")
            report("edit upstream part", pwasm.get_upstream_data(1, 2))
        if self.plugin.how == "replace" and data:
            pwasm.replace_upstream_data(b"the answer")
        return None

    def on_downstream_close(self, peer_type: PeerType) -> None:
        report(self.plugin.how, ("on_downstream_close", peer_type.name))

    def on_upstream_close(self, peer_type: PeerType) -> None:
        report(self.plugin.how, ("on_upstream_close", peer_type.name))

    def on_stream_done(self) -> None:
        report(self.plugin.how, "on_stream_done")
