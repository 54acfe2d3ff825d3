"""Fill the queue of the drain benchmark: `python -m benchmarks.prefill TASKS SECONDS [ours|stock]`."""

from __future__ import annotations

import sys

from benchmarks.sleeper import app, wait


def main(tasks: int, seconds: float, settings: str) -> None:
    """Send `tasks` tasks that wait `seconds`; without confirms, as filling the queue is not what is measured."""
    if settings == "ours":
        app.config_from_object("celeryconfig")
        app.conf.broker_transport_options = {}
    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        for _ in range(tasks):
            wait.apply_async((seconds,), producer=producer)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
