"""shared_data: counts requests with a counter shared by all workers."""

from contextlib import suppress

import pwasm
from pwasm import Action, CasMismatch, HttpContext, VMContext

KEY = "shared_data_key"
ABSENT = 2**32 - 1  # Envoy writes a missing key with any `cas`, and an existing one only with its own: never with this


class SharedCounter(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> None:
        with suppress(CasMismatch):  # another VM has created it
            pwasm.set_shared_data(KEY, encode(0), ABSENT)


class CountRequests(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.log_info("shared value: %d", increment())
        return Action.CONTINUE


def increment() -> int:
    """Atomically add one, and return the new number."""
    while True:
        value, cas = pwasm.get_shared_data(KEY)
        number = int.from_bytes(value or b"", "little") + 1
        try:
            pwasm.set_shared_data(KEY, encode(number), cas or ABSENT)
        except CasMismatch:
            continue  # another worker was faster: start over with its number
        return number


def encode(number: int) -> bytes:
    return number.to_bytes(8, "little")


pwasm.set_vm_context(SharedCounter)
pwasm.set_http_context(CountRequests)
