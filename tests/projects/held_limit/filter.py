"""Holds whole bodies, and of all streams together no more than 2 MB."""

import pwasm


class Vm(pwasm.VMContext):
    """A small limit."""

    max_held_bytes = 2_000_000


class Holding(pwasm.HttpContext):
    """Looks at whole bodies."""

    buffer_request_body = True
    edits_request_body = False
    buffer_response_body = True
    edits_response_body = False

    def on_http_request_body(self, size: int, end_of_stream: bool) -> None:
        pwasm.get_http_request_body()

    def on_http_response_body(self, size: int, end_of_stream: bool) -> None:
        pwasm.get_http_response_body()


pwasm.set_vm_context(Vm)
pwasm.set_http_context(Holding)
