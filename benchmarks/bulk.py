"""How fast `publish_many` is beside Celery's own confirmed publishing: `python -m benchmarks.bulk`.

Both send the same tasks of one app to one queue of one real RabbitMQ, in turns within one run, and every task is
confirmed. Celery waits for each confirm (`confirm_publish`), over one connection as well. `publish_many` gets them from
a generator, which it has to ask for each, and as a list, from which several go in one write. Exits 1 when the median of
the rounds' ratios is below the limit; the slower of the two inputs counts.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from celery import Celery
from kombu import Queue

from benchmarks.command_line import run
from celery_workers import Publisher, TaskCall
from harness.broker.server import Broker, acquire, own_vhost
from harness.errors import HarnessError

LIMIT_RATIO = 4.0  # issue 6
QUEUE = "bulk"
TASK = "mail.send"


@dataclass(frozen=True)
class Round:
    """Tasks a second of each, one right after the other; `ratio` is how many times as fast the slower of ours is."""

    celery: float
    generator: float
    listed: float

    @property
    def ratio(self) -> float:
        """Ours by Celery's."""
        return min(self.generator, self.listed) / self.celery


@dataclass(frozen=True)
class Verdict:
    """The benchmark's outcome."""

    tasks: int
    window: int
    rounds: tuple[Round, ...]
    median_ratio: float
    spread: float  # largest minus smallest ratio
    limit_ratio: float
    passed: bool


def judge(rounds: Sequence[Round], *, tasks: int, window: int) -> Verdict:
    """Compare the rounds' median ratio with the limit."""
    ratios = [one.ratio for one in rounds]
    median = statistics.median(ratios)
    return Verdict(
        tasks, window, tuple(rounds), median, max(ratios) - min(ratios), LIMIT_RATIO, passed=median >= LIMIT_RATIO
    )


def make_app(broker: Broker) -> Celery:
    """Return an app with one durable queue, made on the broker."""
    app = Celery(broker=broker.amqp_url, set_as_current=False)
    app.conf.task_queues = [Queue(QUEUE, durable=True)]
    app.conf.task_default_queue = QUEUE
    app.conf.task_ignore_result = True
    app.conf.broker_transport_options = {"confirm_publish": True}
    with app.connection_for_write() as connection:
        app.conf.task_queues[0](connection.default_channel).declare()
    return app


def arguments(tasks: int) -> Iterator[dict[str, object]]:
    """Return the tasks' arguments."""
    return ({"number": number, "recipient": "student@example.org"} for number in range(tasks))


def celery_rate(app: Celery, tasks: int) -> float:
    """Return how many tasks a second Celery's own publishing brings into the queue."""
    with app.producer_pool.acquire(block=True) as producer:
        app.send_task(TASK, producer=producer)  # the connection is made
        started = time.perf_counter()
        for kwargs in arguments(tasks):
            app.send_task(TASK, kwargs=kwargs, producer=producer)
        seconds = time.perf_counter() - started
    _empty(app, expected=tasks + 1)
    return tasks / seconds


def our_rate(app: Celery, publisher: Publisher, tasks: int, window: int, *, listed: bool) -> float:
    """Return how many tasks a second `publish_many` does. Raises HarnessError when one was not accepted."""
    for _ in publisher.publish_many([TaskCall(TASK)]):
        pass
    calls: Iterable[TaskCall] = (TaskCall(TASK, kwargs=kwargs) for kwargs in arguments(tasks))
    started = time.perf_counter()
    if listed:
        calls = list(calls)
    accepted = sum(outcome.accepted for outcome in publisher.publish_many(calls, window=window))
    seconds = time.perf_counter() - started
    if accepted != tasks:
        raise HarnessError(f"only {accepted} of {tasks} tasks were accepted")
    _empty(app, expected=tasks + 1)
    return tasks / seconds


def _empty(app: Celery, *, expected: int) -> None:
    with app.connection_for_write() as connection:
        held = connection.default_channel.queue_purge(QUEUE)
    if held != expected:
        raise HarnessError(f"the queue held {held} tasks, {expected} were published")


def measure(broker: Broker, *, tasks: int, window: int, rounds: int) -> list[Round]:
    """Measure both in turns."""
    app = make_app(broker)
    publisher = Publisher(app)
    return [
        Round(
            celery=celery_rate(app, tasks),
            generator=our_rate(app, publisher, tasks, window, listed=False),
            listed=our_rate(app, publisher, tasks, window, listed=True),
        )
        for _ in range(rounds)
    ]


def words(verdict: Verdict) -> str:
    """Return the outcome for a person."""
    lines = [
        f"Celery {one.celery:6,.0f} a second, publish_many {one.generator:6,.0f} from a generator, {one.listed:6,.0f} "
        f"from a list: {one.ratio:.1f} times"
        for one in verdict.rounds
    ]
    lines.append(
        f"{'PASS' if verdict.passed else 'FAIL'}: median {verdict.median_ratio:.1f} times Celery's confirmed rate "
        f"(at least {verdict.limit_ratio:g}), spread {verdict.spread:.1f}, {verdict.tasks:,} tasks a round, "
        f"window {verdict.window}"
    )
    return "\n".join(lines)


@click.command()
@click.option("--tasks", default=3000, show_default=True, type=click.IntRange(min=1), help="Tasks a round.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(min=1), help="How often each is measured.")
@click.option("--window", default=500, show_default=True, type=click.IntRange(min=1), help="Tasks under way at once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(tasks: int, rounds: int, window: int, as_json: bool) -> None:
    """Measure publish_many against Celery's confirm_publish; exit 1 when it is not fast enough."""
    with (
        tempfile.TemporaryDirectory(prefix="bulk-") as name,
        acquire(Path(name, "broker")) as broker,
        own_vhost(broker, Path(name).name) as own,
    ):
        measured = measure(own, tasks=tasks, window=window, rounds=rounds)
    verdict = judge(measured, tasks=tasks, window=window)
    click.echo(json.dumps(asdict(verdict), indent=2) if as_json else words(verdict))
    sys.exit(0 if verdict.passed else 1)


if __name__ == "__main__":
    run(main)
