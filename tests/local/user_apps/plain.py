"""An application as users write them: it knows nothing of the chart, and names a broker of its own."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from celery import Celery, Task, shared_task
from celery.exceptions import Reject

app = Celery("plain", broker="amqp://nobody:nothing@127.0.0.1:1//")
app.conf.task_routes = {"*": {"queue": "a-queue-of-its-own"}}


def note(task: Task, **facts: Any) -> None:
    """Append one line to the effects file."""
    line = {"id": task.request.id, "task": task.name, "at": time.time(), **facts}
    file = os.open(os.environ["EFFECTS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


@app.task(bind=True)
def send_mail(self: Task, seconds: float = 0.0) -> None:
    time.sleep(seconds)
    info = self.request.delivery_info
    stamp = self.request.properties.get("timestamp")
    note(self, queue=info["routing_key"], priority=info["priority"], acks_late=self.acks_late, stamp=stamp)


@shared_task(bind=True, name="reports.monthly.build")
def build_report(self: Task) -> None:
    note(self, queue=self.request.delivery_info["routing_key"])


class Registered(Task):
    """A class-based task takes its settings while the module is imported."""

    name = "registered"

    def run(self) -> None:
        note(self, acks_late=self.acks_late, acks_on_failure=self.acks_on_failure)


app.register_task(Registered())


@app.task(bind=True)
def fail(self: Task) -> None:
    note(self)
    raise ValueError("as it should")


@app.task(bind=True)
def refuse(self: Task) -> None:
    note(self)
    raise Reject("not a task of mine", requeue=False)


@app.task(bind=True)
def hang(self: Task, seconds: float) -> None:
    note(self)
    time.sleep(seconds)


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def exhaust_memory(self: Task) -> None:
    note(self)
    os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does to a prefork child


@app.task(bind=True, max_retries=None, default_retry_delay=0)
def exhaust_memory_for_ever(self: Task) -> None:
    note(self)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def kill_worker(self: Task) -> None:
    note(self)
    time.sleep(1)  # so that whoever waits for a ready worker sees one
    os.killpg(0, signal.SIGKILL)  # the whole container, parent and children


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def retry_once(self: Task, seconds: float) -> None:
    note(self, retries=self.request.retries)
    time.sleep(seconds)
    if not self.request.retries:
        raise self.retry()


@app.task(bind=True, max_retries=3)
def retry_later(self: Task, seconds: float, times: int) -> None:
    note(self, queue=self.request.delivery_info["routing_key"], retries=self.request.retries)
    if self.request.retries < times:
        raise self.retry(countdown=seconds)


@app.task(bind=True)
def start(self: Task) -> None:
    note(self)


def note_both_ends(task: Task, seconds: float) -> None:
    """Note that a task begins, and that it ends."""
    note(task, end=False)
    time.sleep(seconds)
    note(task, end=True)


@app.task(bind=True)
def work_late(self: Task, seconds: float) -> None:
    note_both_ends(self, seconds)


@app.task(bind=True, acks_late=False)
def work_early(self: Task, seconds: float) -> None:
    note_both_ends(self, seconds)
