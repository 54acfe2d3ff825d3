"""A publisher in a process of its own, which can be killed in the middle and goes on where it stopped.

`python -m harness.chaos.bulk SPEC`: the broker's address comes by BROKER_URL, all else by the file. Every line of its
journal is written before or right after what it tells of, so that a killed one leaves the truth.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery_workers import Publisher, PublishError, QueueFull, TaskCall, Topology
from harness import processes
from harness.spike.arrivals import Arrival
from harness.spike.load import INHERITED
from harness.spike.publisher_app import publisher_app

DEADLINE_SECONDS = 60.0
WINDOW = 50
EVENTS = {"accepted": "accepted", "unconfirmed": "unconfirmed"}  # an outcome's word -> the journal's; others: refused
KILLED_AFTER = 0.4
"""Which share of the tasks is accepted when the process is killed."""


@dataclass(frozen=True)
class OwnPublisher:
    """Such a process, from outside."""

    process: subprocess.Popen[bytes]
    journal: Path
    tasks: int
    log: Path

    def half_done(self) -> bool:
        """Whether it is in the middle of its tasks."""
        return len(_accepted(self.journal)) >= self.tasks * KILLED_AFTER

    def finished(self) -> bool:
        """Whether it has ended and every task was accepted."""
        return self.process.poll() is not None and len(_accepted(self.journal)) == self.tasks

    def kill(self) -> None:
        """Kill it and whatever it was about to say."""
        processes.kill_group(self.process)
        self.process.wait()


def start(
    tasks: Sequence[Arrival], *, name: str, broker_url: str, topology: Path, journals: Path, directory: Path
) -> OwnPublisher:
    """Begin to publish tasks, or go on with those of this name that were not accepted yet."""
    directory.mkdir(parents=True, exist_ok=True)
    journals.mkdir(parents=True, exist_ok=True)
    journal, spec = journals / f"publisher-{name}.jsonl", directory / f"{name}.json"
    spec.write_text(
        json.dumps({"topology": str(topology), "journal": str(journal), "tasks": [asdict(one) for one in tasks]})
    )
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
    log = directory / f"{name}.log"
    process = processes.start(
        [sys.executable, "-m", "harness.chaos.bulk", spec], log=log, env={**environment, "BROKER_URL": broker_url}
    )
    return OwnPublisher(process, journal, len(tasks), log)


def _accepted(journal: Path) -> set[str]:
    return _told(journal, "accepted")


def _told(journal: Path, event: str) -> set[str]:
    """Return the ids of whole lines that tell of an event."""
    text = journal.read_bytes() if journal.exists() else b""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]
    return {line["id"] for line in lines if line["event"] == event}


def main(spec: Path) -> None:
    """Publish what the file says and nobody has accepted yet."""
    document = json.loads(spec.read_text())
    topology = json.loads(Path(document["topology"]).read_text())
    journal = Path(document["journal"])
    accepted, offered = _told(journal, "accepted"), _told(journal, "offered")
    publisher = Publisher(
        publisher_app(topology, broker_url=os.environ["BROKER_URL"]), topology=Topology.from_document(topology)
    )
    handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    left = [task for task in document["tasks"] if task["id"] not in accepted]

    def calls() -> Iterator[TaskCall]:
        for task in left:
            if task["id"] not in offered:
                _write(handle, task, "offered")
            yield TaskCall(task["task"], kwargs=task["kwargs"], task_id=task["id"])

    for outcome in publisher.publish_many(calls(), window=WINDOW, deadline_seconds=DEADLINE_SECONDS):
        _write(handle, left[outcome.position], EVENTS.get(outcome.status, "refused"), outcome.error)


def _write(handle: int, task: dict[str, Any], event: str, error: PublishError | None = None) -> None:
    line = {"t": round(time.time(), 6), "event": event, "attempt": 1, "reason": str(error or "")}
    line |= {key: task[key] for key in ("id", "task", "queue", "phase")}
    line["stored"] = isinstance(error, QueueFull) and error.stored
    os.write(handle, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
