"""Tasks that waited in RabbitMQ until they were due (delayedDelivery), as a worker takes them.

They come with the routing key of their wait, a 28-bit number before the queue's name. Limits, dead letters, a retry and
the task itself know the queue by its name alone, as that of any other task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu.transport.native_delayed_delivery import MAX_NUMBER_OF_BITS_TO_USE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class TakesDelayed:
    """Consumer mixin: a task that has waited looks like one that was sent to its queue. Set `delay_exchanges`.

    It names the exchange behind the last level it waited at, whichever that was.
    """

    delay_exchanges: str

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Return Celery's handler of a message, which sees where the message belongs."""
        handle = super().create_task_handler(*arguments, **options)

        def on_task_received(message: Any) -> None:
            info = message.delivery_info
            if str(info.get("exchange") or "").startswith(self.delay_exchanges):
                info.update(exchange="", routing_key=queue_of(info["routing_key"]))
            handle(message)

        return on_task_received


def queue_of(routing_key: str) -> str:
    """Return the queue that kombu's routing key of a delay ends in."""
    return routing_key.split(".", MAX_NUMBER_OF_BITS_TO_USE)[-1]


def delay_exchanges(topology: Mapping[str, Any]) -> str:
    """Return what their names begin with, also after delayed delivery was turned off: some tasks may wait still."""
    return f"{topology['release']}_celery_delayed_"


def leave_out_celerys(topology: Mapping[str, Any]) -> None:
    """Keep Celery from making its own queues for delays beside the release's: it could not use them."""
    if topology.get("delayed_delivery"):
        DelayedDelivery.include_if = lambda step, consumer: False
