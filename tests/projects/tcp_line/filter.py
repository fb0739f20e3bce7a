"""Holds what the client, or upstream, sends until a line is complete."""

import pwasm
from pwasm import Action


class Line(pwasm.TcpContext):
    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        return self._held("down", data_size, pwasm.get_downstream_data())

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        return self._held("up", data_size, pwasm.get_upstream_data())

    def _held(self, way: str, size: int, data: bytes) -> Action:
        if data:
            pwasm.log_info(f"{way} {size} {data.decode()!r}")
        return Action.CONTINUE if data.endswith(b"\n") or not data else Action.PAUSE


pwasm.set_tcp_context(Line)
