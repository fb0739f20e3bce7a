"""Plugin contexts: timers, queues, shared data, the end of a plugin."""

import os

from cases import Case, report
from http_cases import Hold, refused

import pwasm
from pwasm import Action, CasMismatch, PluginContext, VMContext, foreign

ABSENT = 2**32 - 1


class Vm(VMContext):
    def on_vm_start(self, vm_configuration_size: int) -> bool:
        self.name = os.urandom(8).hex()
        report("Vm", (vm_configuration_size, pwasm.get_vm_configuration()))
        return True


class Plugin(PluginContext):
    """The plugin of all HTTP cases: resumes held streams, and takes answers without another recipient."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.held: list[Hold] = []
        foreign.declare_property("of_plugin", foreign.PropertyType.STRING)
        report("Declared again", refused(foreign.declare_property, "of_plugin"))
        report("Plugin", (plugin_configuration_size, pwasm.get_plugin_configuration()))
        return True

    def hold(self, case: Hold) -> None:
        self.held.append(case)
        pwasm.set_tick_period_milliseconds(10)

    def on_tick(self) -> None:
        held, self.held = self.held, []
        pwasm.set_tick_period_milliseconds(0)
        for case in held:
            with pwasm.effective_context(case.context_id):
                case.let_go()

    def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> None:
        body = pwasm.get_http_call_response_body()
        answer = refused(pwasm.send_http_response, 200, (), b"the plugin got " + body)
        report("on_http_call_response", (num_headers, body_size, num_trailers, body, answer))

    def on_grpc_receive_initial_metadata(self, token: int, num_elements: int) -> None:
        report("plugin initial", dict(pwasm.get_grpc_receive_initial_metadata())["x-initial"])

    def on_grpc_receive(self, token: int, message_size: int) -> None:
        message = pwasm.get_grpc_receive_buffer()
        report("plugin message", (message_size, message, refused(pwasm.send_http_response, 200, (), message)))

    def on_grpc_receive_trailing_metadata(self, token: int, num_elements: int) -> None:
        report("plugin trailing", dict(pwasm.get_grpc_receive_trailing_metadata()).get("x-trailing"))

    def on_grpc_close(self, token: int, status_code: int) -> None:
        report("plugin close", status_code)


class Ticker(PluginContext):
    """Counts the ticks of its timer; requests change the period."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.ticks = 0
        if self.configuration == b"always":
            pwasm.set_tick_period_milliseconds(10)
        return True

    def on_tick(self) -> None:
        self.ticks += 1


class Tick(Case):
    """Responds with the number of ticks of its plugin, after setting the period given in the path."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.word.isdigit():
            pwasm.set_tick_period_milliseconds(int(self.word))
        pwasm.send_http_response(200, body=str(self.plugin.ticks))
        return Action.PAUSE


class Shared(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        first = pwasm.get_shared_data(self.word)
        pwasm.set_shared_data(self.word, b"one \x00\xff")
        value, cas = pwasm.get_shared_data(self.word)
        pwasm.set_shared_data(self.word, b"two", cas)
        stale = refused(pwasm.set_shared_data, self.word, b"three", cas)
        seen = pwasm.get_shared_data(self.word)[0]
        pwasm.set_shared_data(self.word, b"", 0)
        pwasm.send_http_response(200, body=repr((first, value, stale, seen, pwasm.get_shared_data(self.word)[0])))
        return Action.PAUSE


class Count(Case):
    """Atomically increments a shared number; responds with the VM and the number of attempts."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        tries = 1
        while True:
            value, cas = pwasm.get_shared_data("count")
            busy = sum(range(2000))  # long enough for the other worker to come between
            try:
                pwasm.set_shared_data("count", str(int(value or b"0") + bool(busy)), cas or ABSENT)
                break
            except CasMismatch:
                tries += 1
        pwasm.send_http_response(200, body=repr((self.plugin.vm.name, tries, int(value or b"0") + 1)))
        return Action.PAUSE


class Consumer(PluginContext):
    """A plugin without traffic, in a separate VM, that takes items from its queue."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.queue = pwasm.register_shared_queue("letters")
        same = pwasm.register_shared_queue("letters") == self.queue == pwasm.resolve_shared_queue("", "letters")
        report("Consumer", (same, refused(pwasm.dequeue_shared_queue, self.queue)))
        return True

    def on_queue_ready(self, queue_id: int) -> None:
        report("on_queue_ready", queue_id == self.queue)
        for item in pwasm.drain_shared_queue(queue_id):
            report("letter", item)


class Send(Case):
    """Adds items to the queue of the other VM; reports the host's answers for queues that do not exist."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        queue = pwasm.resolve_shared_queue("consumer", "letters")
        for letter in (b"one \x00\xff", b"", b"three"):
            pwasm.enqueue_shared_queue(queue, letter)
        own = pwasm.register_shared_queue("own")
        pwasm.enqueue_shared_queue(own, b"to myself")
        answers = (
            refused(pwasm.resolve_shared_queue, "consumer", "no such queue"),
            refused(pwasm.enqueue_shared_queue, 9999, b""),
            refused(pwasm.dequeue_shared_queue, 9999),
            pwasm.dequeue_shared_queue(own),
            refused(pwasm.dequeue_shared_queue, own),
        )
        pwasm.send_http_response(200, body=repr(answers))
        return Action.PAUSE


class Leaver(PluginContext):
    """Returns False from on_plugin_done, and calls plugin_done two ticks later."""

    ticks = -1

    def on_plugin_done(self) -> bool:
        report(self.name, ("on_plugin_done", self.context_id))
        self.ticks = 0
        pwasm.set_tick_period_milliseconds(10)
        return False

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.name = f"Leaver {self.configuration.decode()}"
        report(self.name, ("early", refused(pwasm.plugin_done)))
        return True

    def on_tick(self) -> None:
        self.ticks += 1
        report(self.name, ("tick", self.ticks))
        if self.ticks == 2:
            pwasm.plugin_done()
            report(self.name, ("plugin_done", refused(pwasm.plugin_done)))

    def __del__(self) -> None:
        report(self.name, ("deleted", self.context_id))
