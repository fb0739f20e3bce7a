"""The bytes that the module itself holds: out of the host's buffer, where another filter's continue would release them.

Envoy's buffered body belongs to the whole chain of filters. PAUSE in a body callback holds it only until any filter
continues: for requests one that is later in the list, such as ext_authz, for responses an earlier one. Source:
docs/abi.md §6.
"""

from __future__ import annotations

from .in_vm import HELD_BYTES, InVm


class Held:
    """The bytes of one direction of a stream, in the order of the message.

    `passed` are those that callbacks have let pass, while others behind them are still held. `shown` are those that the
    running or waiting callback sees: for it they are the buffer. `later` have arrived while a coroutine waits.

    `sent` have gone on by a resume outside of the callbacks. A later filter may hold them, and then the host may show
    them again, in front of new ones.
    """

    __slots__ = ("counted", "later", "passed", "sent", "shown", "vm")

    def __init__(self, vm: InVm) -> None:
        self.vm = vm
        self.sent = b""
        self.counted = 0  # the host's count of the message's bytes, when they went on
        self.passed: list[bytes] = []
        self.shown: list[bytes] = []  # joined when it is read
        self.later: list[bytes] = []

    @property
    def size(self) -> int:
        """The number of all bytes."""
        return sum(map(len, self.passed)) + self.shown_size + sum(map(len, self.later))

    @property
    def shown_size(self) -> int:
        """The number of bytes that the callback sees."""
        return sum(map(len, self.shown))

    def arrived(self, data: bytes, *, later: bool) -> None:
        """Add bytes at the end; `later` if a coroutine waits, which must not see them."""
        (self.later if later else self.shown).append(data)
        self._grows(len(data))

    def read(self, start: int, size: int) -> bytes:
        """Like `proxy_get_buffer_bytes`."""
        shown = self._joined()
        return shown if not start and size >= len(shown) else shown[start : start + size]

    def write(self, start: int, size: int, data: bytes) -> None:
        """Like `proxy_set_buffer_bytes`: replace `size` bytes from `start` on; from beyond the end on, append."""
        old = self._joined()
        new = old[:start] + data + old[start + size :]
        self.shown = [new]
        self._grows(len(new) - len(old))

    def pass_on(self) -> None:
        """The callback has let pass what it saw."""
        self.passed += self.shown
        self.shown = []

    def show_later(self) -> None:
        """The next callback sees what arrived meanwhile, after what the last one has not let pass."""
        self.shown += self.later
        self.later = []

    def take_passed(self) -> bytes:
        """What callbacks have let pass; the rest stays held."""
        passed = b"".join(self.passed)
        self._grows(-len(passed))
        self.passed = []
        return passed

    def release(self) -> bytes:
        """Everything that is held; nothing is afterwards."""
        everything = b"".join((*self.passed, *self.shown, *self.later))
        self._grows(-len(everything))
        self.passed, self.shown, self.later = [], [], []
        return everything

    def remember(self, sent: bytes) -> None:
        """These bytes, too, have gone on by a resume outside of the callbacks."""
        self.sent += sent
        self._grows(len(sent))

    def forget_sent(self) -> None:
        """What has gone on will not be shown again."""
        self._grows(-len(self.sent))
        self.sent = b""

    def comes_again(self) -> None:
        """What had gone on is in our hands again; it is in front of everything."""
        self.passed.insert(0, self.sent)
        self.sent = b""

    def _grows(self, count: int) -> None:
        if count:
            self.vm.size += count
            self.vm.add(HELD_BYTES, count)

    def _joined(self) -> bytes:
        if len(self.shown) != 1:
            self.shown = [b"".join(self.shown)]
        return self.shown[0]
