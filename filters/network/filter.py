"""network: a TCP filter that logs the data of both directions and the upstream, and counts connections."""

import pwasm
from pwasm import Action, Counter, PeerType, PluginContext, TcpContext, properties

LOCATION = ("xds", "cluster_metadata", "filter_metadata", "location")


class Connections(PluginContext):
    counter: Counter

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        self.counter = pwasm.define_counter_metric("network_example.connection_counter")


class LogData(TcpContext):
    plugin: Connections

    def on_new_connection(self) -> Action:
        pwasm.log_info("new connection!")
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            data = pwasm.get_downstream_data()
            pwasm.log_info(">>>>>> downstream data received >>>>>> %s", data.decode(errors="replace"))
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: PeerType) -> None:
        pwasm.log_info("downstream connection close!")

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            pwasm.log_info("remote address: %s", properties.upstream.address)
            # Up to Envoy 1.32 the cluster's metadata was at the top level; from 1.33 on it is only here.
            for key, value in pwasm.get_property_map(LOCATION):
                pwasm.log_info("upstream cluster metadata location[%s]=%s", key, value)
            data = pwasm.get_upstream_data()
            pwasm.log_info("<<<<<< upstream data received <<<<<< %s", data.decode(errors="replace"))
        return Action.CONTINUE

    def on_stream_done(self) -> None:
        self.plugin.counter.increment()
        pwasm.log_info("connection complete!")


pwasm.set_plugin_context(Connections)
pwasm.set_tcp_context(LogData)
