"""Runs in the client's pod: publishes as a web process would, and looks at effects and deliveries.

`python inside.py <command> [document]`: a JSON document as argument or on stdin, the answer as JSON on stdout. Needs
what the reference application's image has, no more.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Document = dict[str, Any]

STEADY, STOP, LOG = Path("/tmp/steady.jsonl"), Path("/tmp/steady.stop"), Path("/tmp/steady.log")
STOP_SECONDS = 60.0
POLL_SECONDS = 0.5
NAME_SECONDS = 30.0  # a node that starts may hold all of CoreDNS
DELIVERED = (200, 250)  # what the stand-ins record for a delivery they took


def publish(asked: Document) -> list[str]:
    """Publish `tasks` ({name: count}) with `kwargs`; return the ids, each confirmed by the broker."""
    with _publisher() as publisher:
        names = [name for name, count in asked["tasks"].items() for _ in range(count)]
        return [publisher.publish(name, kwargs=asked["kwargs"], deadline_seconds=60.0) for name in names]


def start_steady(asked: Document) -> None:
    """Start `steady` in a process of its own."""
    for path in (STEADY, STOP):
        path.unlink(missing_ok=True)
    with LOG.open("w") as log:
        command = [sys.executable, __file__, "steady", json.dumps(asked)]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def steady(asked: Document) -> None:
    """Publish the `tasks` in turn, `per_second`, until told to stop or for `most_seconds`; note what became of each."""
    started = time.monotonic()
    from celery_workers import PublishError

    with _publisher() as publisher, STEADY.open("a", buffering=1) as notes:
        for number, name in enumerate(itertools.cycle(asked["tasks"])):
            due = number / asked["per_second"]
            if STOP.exists() or due > asked["most_seconds"]:
                break
            time.sleep(max(0.0, started + due - time.monotonic()))
            task_id, outcome = str(uuid.uuid4()), "accepted"
            try:
                publisher.publish(name, task_id=task_id, deadline_seconds=60.0)
            except PublishError as error:
                outcome = type(error).__name__
            notes.write(json.dumps([task_id, outcome]) + "\n")
        notes.write(json.dumps([None, "ended"]) + "\n")


def stop_steady(_: Document) -> Document:
    """End `steady` and return the ids by outcome."""
    STOP.touch()
    deadline = time.monotonic() + STOP_SECONDS
    while not (notes := _notes()) or notes[-1][1] != "ended":
        if time.monotonic() > deadline:
            raise SystemExit(f"the publisher did not end in {STOP_SECONDS:.0f} s: {LOG.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)
    outcomes: dict[str, list[str]] = {"accepted": []}
    for task_id, outcome in notes[:-1]:
        outcomes.setdefault(outcome, []).append(task_id)
    return outcomes


def wait_done(asked: Document) -> list[str]:
    """Return once the effect of each of `ids` is there, or after `seconds`; return the ids still missing."""
    from sqlalchemy import text

    from examx import database

    missing, deadline = set(asked["ids"]), time.monotonic() + asked["seconds"]
    while True:
        rows = database.read(lambda c: c.execute(text("select task_id from task_effects")).scalars().all())
        missing -= set(rows)
        if not missing or time.monotonic() > deadline:
            return sorted(missing)
        time.sleep(POLL_SECONDS)


def deliveries(asked: Document) -> dict[str, int]:
    """Return how often each of `ids` came to a service and was taken."""
    wanted = set(asked["ids"])
    counts = Counter(line["id"] for line in _journal() if line["status"] in DELIVERED)
    return {task_id: count for task_id, count in counts.items() if task_id in wanted}


def in_work(asked: Document) -> dict[str, list[str]]:
    """Return the ids of the tasks each of `workers` (class@pod) has in work."""
    from examx import app

    answers = app.control.inspect(destination=asked["workers"], timeout=5.0).active() or {}
    return {worker: [task["id"] for task in tasks] for worker, tasks in answers.items()}


def routed(asked: Document) -> dict[str, Document]:
    """Publish one of each of `tasks`, and take them out of `queues` again; return each one's queue and priority.

    Only where no worker takes them first. What was in the queues before is taken out too.
    """
    from examx import app

    found = {}
    with app.connection_for_write() as connection, _publisher() as publisher:
        ids = {publisher.publish(name, deadline_seconds=60.0) for name in asked["tasks"]}
        channel = connection.channel()
        for queue in asked["queues"]:
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                if message.headers["id"] in ids:
                    found[message.headers["task"]] = {"queue": queue, "priority": message.properties.get("priority")}
    return found


def profile(asked: Document) -> Any:
    """Change how the services named in the document behave from now on."""
    return json.loads(_ask_services("/_profile", method="PUT", data=json.dumps(asked).encode()))


def purge(asked: Document) -> int:
    """Take everything that waits out of a `queue`; return how much it was."""
    from examx import app

    with app.connection_for_write() as connection:
        return int(connection.default_channel.queue_purge(asked["queue"]) or 0)


def bury(asked: Document) -> None:
    """Put `count` messages into a dead-letter `queue`, as refused tasks would be."""
    from examx import app

    with app.connection_for_write() as connection:
        producer = connection.Producer()
        for _ in range(asked["count"]):
            producer.publish("buried", exchange="", routing_key=asked["queue"])


class _publisher:  # noqa: N801 - reads as what it gives
    """A publisher of the application for a block."""

    def __enter__(self) -> Any:
        from celery_workers import Publisher
        from examx import app

        self._made = Publisher(app)
        return self._made

    def __exit__(self, *_: object) -> None:
        self._made.close()


def _journal() -> Iterator[Document]:
    offset = 0
    while True:
        page = _ask_services(f"/_journal?offset={offset}")
        if not page:
            return
        offset += len(page)
        yield from map(json.loads, page.splitlines())


def _ask_services(path: str, *, method: str = "GET", data: bytes | None = None) -> bytes:
    """Return the answer. A name that is not known yet, as while CoreDNS comes back, is looked up again for a while."""
    request = urllib.request.Request(os.environ["EXAMX_SERVICES_URL"] + path, data=data, method=method)
    deadline = time.monotonic() + NAME_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, socket.gaierror) or time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _notes() -> list[list[str]]:
    return [json.loads(line) for line in STEADY.read_text().splitlines()] if STEADY.exists() else []


COMMANDS: Mapping[str, Callable[[Document], Any]] = {
    function.__name__: function
    for function in (
        publish, start_steady, steady, stop_steady, wait_done, deliveries, in_work, routed, profile, purge, bury
    )
}  # fmt: skip


if __name__ == "__main__":
    given = sys.argv[2] if len(sys.argv) > 2 else sys.stdin.read()
    print(json.dumps(COMMANDS[sys.argv[1]](json.loads(given or "{}"))))
