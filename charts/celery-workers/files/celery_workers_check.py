"""Checks an installed release through its broker, as `helm test` runs it: `python celery_workers_check.py`.

The broker is reached with the release's Secret, every queue of topology.json exists, and each class that always has
pods has a worker that answers and takes from the class's queues. A class with a minimum of 0 pods may be at rest. What
is missing is waited for, CELERY_WORKERS_CHECK_SECONDS in all; exit code 1 and one message say what did not come. Needs
Celery, not the application.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import celeryconfig
from amqp.exceptions import AMQPError, NotFound
from celery_workers_health import broker_addresses, probe_app
from kombu.exceptions import OperationalError
from kombu.transport.native_delayed_delivery import level_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celery import Celery
    from kombu import Connection

CHECK_SECONDS = 60.0
ANSWER_SECONDS = 2.0  # for workers to answer; a pool full of tasks does not delay it, except solo's
PAUSE_SECONDS = 1.0

Answers = dict[str, set[str]]  # node name -> the queues it takes from


class OutOfTimeError(Exception):
    """The time is over in the middle of a call; no OSError, which kombu would answer by trying again."""


def find_missing_queues(connection: Connection, topology: Mapping[str, Any]) -> tuple[list[str], dict[str, int]]:
    """Return what is wrong with the queues, and how many consumers each existing one has."""
    consumers: dict[str, int] = {}
    missing = []
    for wanted in wanted_queues(topology):
        count = count_consumers(connection, wanted)
        if count is None:
            missing.append(
                f"queue {wanted!r} does not exist; read the topology Job's log (kubectl logs -l "
                "app.kubernetes.io/component=topology); if it was there once, delete that Job and helm upgrade to "
                "have it made again; where broker.topology is none, make it"
            )
        else:
            consumers[wanted] = count
    return missing, consumers


def wanted_queues(topology: Mapping[str, Any]) -> list[str]:
    """Return the queues that should exist, those that tasks wait in until they are due last."""
    names: list[str] = []
    for name, queue in sorted(topology["queues"].items()):
        names += filter(None, (name, queue.get("dead_letter_queue")))
    delays = topology.get("delayed_delivery")
    if delays:
        names += (f"{topology['release']}_celery_delayed_due_{name}" for name in sorted(topology["queues"]))
        names += (level_name(level, topology["release"]) for level in range(delays["highest_level"] + 1))
    return names


def count_consumers(connection: Connection, queue: str) -> int | None:
    """Return how many consumers a queue has, None when it does not exist. Changes nothing."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).consumer_count)
    except NotFound:  # the broker has closed the channel over it
        return None
    finally:
        channel.close()


def ask_workers(app: Celery) -> Answers:
    """Return what each worker that answers says it takes from."""
    answers = app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
    return {node: {queue["name"] for queue in queues} for node, queues in answers.items()}


def answering(answers: Answers, name: str, queues: Iterable[str]) -> list[str]:
    """Return the workers of a class that take from all of its queues; another release's class may have its name."""
    wanted = set(queues)
    return sorted(node for node, taken in answers.items() if node.startswith(f"{name}@") and wanted <= taken)


def find_missing_workers(topology: Mapping[str, Any], answers: Answers, consumers: Mapping[str, int]) -> list[str]:
    """Return the classes that should have a worker and have none that answers."""
    missing = []
    for name, settings in sorted(topology["classes"].items()):
        taken = [queue for queue in settings["queues"] if consumers.get(queue)]
        # A solo worker answers between two tasks only, which may take hours: that it consumes has to do.
        busy = settings["pool"] == "solo" and taken == settings["queues"]
        if settings["replicas"]["min"] < 1 or busy or answering(answers, name, settings["queues"]):
            continue
        missing.append(
            f"class {name}: no worker answers that takes from {', '.join(settings['queues'])} (consumed now: "
            f"{', '.join(taken) or 'none'}); look at its pods (kubectl get pods -l celery-workers/class={name})"
        )
    return missing


def look(app: Celery, topology: Mapping[str, Any]) -> tuple[list[str], Answers]:
    """Return what is missing now, and who answered. Raises what stands between here and the broker."""
    with app.connection_for_write() as connection:
        missing, consumers = find_missing_queues(connection, topology)
    answers = ask_workers(app)
    return [*missing, *find_missing_workers(topology, answers, consumers)], answers


def look_until(app: Celery, topology: Mapping[str, Any], deadline: float) -> tuple[list[str], Answers]:
    """Look until nothing is missing or `deadline` (monotonic) has come; return the last look."""
    where = ", ".join(f"{host}:{port}" for host, port in broker_addresses(app.conf.broker_url))
    seen: tuple[list[str], Answers] = ([f"the broker at {where} gave no answer; is it stopping its publishers?"], {})
    try:
        while True:
            try:
                seen = look(app, topology)
            except (OSError, AMQPError, OperationalError) as error:
                fix = "correct key amqpUrl of the broker's Secret, or let the pod reach it (NetworkPolicy)"
                seen = ([f"the broker at {where} cannot be used ({error}); {fix}"], {})
            if not seen[0] or time.monotonic() >= deadline:
                return seen
            time.sleep(PAUSE_SECONDS)
    except OutOfTimeError:
        return seen


def describe(topology: Mapping[str, Any], answers: Answers) -> str:
    """Return who answered, in one line."""
    parts = []
    for name, settings in sorted(topology["classes"].items()):
        count = len(answering(answers, name, settings["queues"]))
        at_rest = " (at rest)" if not count and settings["replicas"]["min"] < 1 else ""
        parts.append(f"{name} {count}{at_rest}")
    return f"{len(topology['queues'])} queues; workers that answered: {', '.join(parts)}"


def stop(*details: object) -> NoReturn:
    """End whatever call is under way."""
    raise OutOfTimeError


def main(environment: Mapping[str, str]) -> int:
    """Check the release; return the exit code."""
    seconds = float(environment.get("CELERY_WORKERS_CHECK_SECONDS") or CHECK_SECONDS)
    topology = celeryconfig.load_topology()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds + ANSWER_SECONDS)  # a broker out of memory lets a publisher hang
    missing, answers = look_until(probe_app(), topology, time.monotonic() + seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if missing:
        lines = "\n".join(f"  - {line}" for line in missing)
        print(f"release {topology['release']} does not work, waited {seconds:.0f} s:\n{lines}", file=sys.stderr)
        return 1
    print(f"release {topology['release']} works: {describe(topology, answers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
