"""Data and queues shared by all VMs with the same `vm_id`, in every worker of the Envoy process."""

from __future__ import annotations

from collections.abc import Iterator

from .. import _validate
from .._abi import Status
from .._stream.current import current
from .._stream.guards import failed
from ..errors import Empty

MAX_U32 = 2**32 - 1


def get_shared_data(key: str | bytes) -> tuple[bytes | None, int]:
    """The value of a key and its cas number; `(None, 0)` if there is none.

    May be called in every callback.

    Raises:
        TypeError: `key` is neither str nor bytes.
        HostcallError: the host refused.

    Source: proxy_get_shared_data.
    """
    _validate.text_or_bytes("key", key)
    status, value, cas = current.host.proxy_get_shared_data(key)
    if status == Status.NOT_FOUND:
        return None, 0
    if status:
        raise failed(status, "proxy_get_shared_data", key)
    return value, cas


def set_shared_data(key: str | bytes, data: bytes | str, cas: int = 0) -> None:
    """Set the value of a key; other workers see it immediately.

    May be called in every callback.

    To change a value without overwriting a concurrent change by another worker, pass the cas number returned by
    `get_shared_data`, and start over if `CasMismatch` is raised. There is no way to delete a key.

    A missing key is written regardless of `cas`. So to create a key without overwriting one that another worker has
    just created, pass a number that is not in use, such as 2**32 - 1.

    Args:
        key: the key; any str or bytes.
        data: the value: bytes, or a str that is encoded as UTF-8.
        cas: the cas number that the value must have; 0 writes unconditionally.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
        CasMismatch: the value has changed since it was read.

    Source: proxy_set_shared_data.
    """
    _validate.text_or_bytes("key", key)
    value = _validate.data("data", data)
    _validate.integer("cas", cas, 0, MAX_U32)
    status = current.host.proxy_set_shared_data(key, value, cas)
    if status:
        raise failed(status, "proxy_set_shared_data", key)


def register_shared_queue(name: str | bytes) -> int:
    """Create a queue, or take over an existing one of this name, and return its id.

    May be called in every callback.

    `PluginContext.on_queue_ready` is called for each item in the plugin that registered last, so only one of several
    workers gets them. A consumer should be a singleton (an Envoy Wasm service).

    Raises:
        TypeError: `name` is neither str nor bytes.
        HostcallError: the host refused.

    Source: proxy_register_shared_queue.
    """
    _validate.text_or_bytes("name", name)
    status, queue_id = current.host.proxy_register_shared_queue(name)
    if status:
        raise failed(status, "proxy_register_shared_queue", name)
    return queue_id


def resolve_shared_queue(vm_id: str | bytes, name: str | bytes) -> int:
    """The id of a queue that a plugin in the VM `vm_id` registered; an empty `vm_id` means this VM.

    May be called in every callback.

    Raises:
        TypeError: an argument is neither str nor bytes.
        NotFound: there is no such queue (yet).

    Source: proxy_resolve_shared_queue.
    """
    _validate.text_or_bytes("vm_id", vm_id)
    _validate.text_or_bytes("name", name)
    status, queue_id = current.host.proxy_resolve_shared_queue(vm_id, name)
    if status:
        raise failed(status, "proxy_resolve_shared_queue", name)
    return queue_id


def enqueue_shared_queue(queue_id: int, data: bytes | str) -> None:
    """Append an item, which may be empty, to a queue. Queues are unbounded.

    May be called in every callback.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
        NotFound: no such queue.

    Source: proxy_enqueue_shared_queue.
    """
    _validate.integer("queue_id", queue_id, 0, MAX_U32)
    item = _validate.data("data", data)
    status = current.host.proxy_enqueue_shared_queue(queue_id, item)
    if status:
        raise failed(status, "proxy_enqueue_shared_queue", queue_id)


def dequeue_shared_queue(queue_id: int) -> bytes:
    """Remove and return the first item of a queue.

    May be called in every callback.

    Raises:
        TypeError, ValueError: `queue_id` is not an int from 0 to 2**32 - 1.
        Empty: the queue is empty; possible in `on_queue_ready` too, since another VM may have been faster.
        NotFound: no such queue.

    Source: proxy_dequeue_shared_queue.
    """
    _validate.integer("queue_id", queue_id, 0, MAX_U32)
    status, item = current.host.proxy_dequeue_shared_queue(queue_id)
    if status:
        raise failed(status, "proxy_dequeue_shared_queue", queue_id)
    return item


def drain_shared_queue(queue_id: int) -> Iterator[bytes]:
    """Take items until the queue is empty: `for item in pwasm.drain_shared_queue(queue_id): …`.

    May be called in every callback.

    Raises:
        The exceptions of `dequeue_shared_queue`, except `Empty`.

    Source: proxy_dequeue_shared_queue.
    """
    _validate.integer("queue_id", queue_id, 0, MAX_U32)
    return _drain(queue_id)


def _drain(queue_id: int) -> Iterator[bytes]:
    while True:
        try:
            item = dequeue_shared_queue(queue_id)
        except Empty:
            return
        yield item
