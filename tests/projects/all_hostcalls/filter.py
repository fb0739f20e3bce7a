"""Calls any hostcall directly, many times: what the shim allocates it must free.

Driven by `on_queue_ready`: the token is `number of the hostcall * 1,000,000 + how many calls`.
"""

import pwasm
from pwasm import PluginContext, _abi
from pwasm._stream.current import current

SAMPLES = {"u32": 1, "i32": -1, "i64": -5, "bool": True, "bytes": b"bytes \xff\0" * 20, "text": "text \udcff ü" * 20}
RESULTS = {"u32": 0xFFFFFFFF, "u64": 1 << 63, "bytes": b"result" * 50}


class Plugin(PluginContext):
    def on_queue_ready(self, queue_id: int) -> None:
        number, count = divmod(queue_id, 1_000_000)
        call = _abi.HOSTCALLS[number]
        arguments = [SAMPLES[kind] for kind in _abi.kinds(call.params)]
        expected = tuple(RESULTS[kind] for kind in _abi.kinds(call.results))
        function = getattr(current.host, call.name)
        for _ in range(count):
            answer = function(*arguments)
        status, results = (answer[0], answer[1:]) if expected else (answer, ())
        if status == 0 and results != expected:
            raise AssertionError(f"{call.name} returned {results!r}")


pwasm.set_plugin_context(Plugin)
