"""What each task of the reference application costs in CPU: in the process that runs it and in the stand-ins.

    python -m benchmarks.examx_costs            every task and size, run in this process
    python -m benchmarks.examx_costs --worker   mails and AI calls through a gevent worker on a RabbitMQ

Scenarios take their figures from here; run it where they do not fit (another machine).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 30.0
DRAIN_SECONDS = 120.0
REPEATS = {"io": 300, "mixed": 200, "cpu": 20}
SIZES: tuple[tuple[str, dict[str, int]], ...] = (
    ("bulk_upload_questions_task", {"rows": 500}),
    ("bulk_upload_questions_task", {"rows": 2000}),
    ("generate_question_paper_pdfs", {"pages": 20}),
    ("generate_question_paper_pdfs", {"pages": 100}),
    ("generate_order_copy_pdf_task", {"items": 500}),
    ("generate_order_copy_pdf_task", {"items": 1200}),
    ("update_order_copy_pdf_task", {"pages": 20}),
    ("update_order_copy_pdf_task", {"pages": 100}),
    ("process_paper_task", {"pages": 10}),
    ("process_paper_task", {"pages": 50}),
    ("run_summary_metrics_task", {"resamples": 5000}),
    ("run_summary_metrics_task", {"resamples": 12000}),
)
WORKER_LOADS: tuple[tuple[str, str, int, float], ...] = (
    # task, service, messages, latency in seconds
    ("forgot_password_mail", "smtp", 4000, 0.5),
    ("generate_ai_content_task", "ai", 3000, 0.5),
    ("process_exam_auto_submit_for_students", "smtp", 3000, 0.0),
)
CONFIG = """
from examx.application import STANDALONE
globals().update(STANDALONE)
broker_heartbeat = 0
worker_send_task_events = True
broker_transport_options = {"confirm_publish": True}
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", action="store_true", help="through a gevent worker on a RabbitMQ")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _standins(Path(name)) as standins:
        os.environ.update(_environment(Path(name)))
        if options.worker:
            _measure_worker(Path(name), standins)
        else:
            _measure_here(standins)


@contextlib.contextmanager
def _standins(directory: Path) -> Iterator[psutil.Process]:
    ready = directory / "ready.json"
    command = [sys.executable, "-m", "examx.standins", "--smtp-port", "0", "--http-port", "0"]
    process = subprocess.Popen([*command, "--directory", str(directory), "--ready-file", str(ready)])
    try:
        _wait(ready.exists, START_SECONDS, "the stand-ins")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _environment(directory: Path) -> dict[str, str]:
    ports = json.loads((directory / "ready.json").read_text())
    return {
        "EXAMX_SMTP_URL": f"smtp://127.0.0.1:{ports['smtp_port']}",
        "EXAMX_SERVICES_URL": f"http://127.0.0.1:{ports['http_port']}",
        "EXAMX_DATABASE_URL": f"sqlite:///{directory / 'examx.sqlite3'}",
        "EXAMX_FILES_DIR": str(directory / "files"),
    }


def _measure_here(standins: psutil.Process) -> None:
    from examx import app
    from examx.catalogue import TASKS

    app.loader.import_default_modules()
    runs: list[tuple[str, dict[str, int]]] = [(name, {}) for name in TASKS] + list(SIZES)
    print("| task | kwargs | class | CPU ms | wall ms | stand-ins CPU ms |\n|---|---|---|---|---|---|")
    for name, kwargs in runs:
        repeats = REPEATS[TASKS[name].worker_class]
        _apply(app, name, kwargs, 2)  # imports, connections and documents are made before the clock starts
        before = _clocks(standins)
        _apply(app, name, kwargs, repeats)
        cpu, wall, outside = ((b - a) * 1000 / repeats for a, b in zip(before, _clocks(standins), strict=True))
        shown = json.dumps(kwargs) if kwargs else "defaults"
        print(f"| {name} | {shown} | {TASKS[name].worker_class} | {cpu:.2f} | {wall:.2f} | {outside:.2f} |", flush=True)


def _apply(app: Any, name: str, kwargs: dict[str, int], times: int) -> None:
    for _ in range(times):
        app.tasks[name].apply(kwargs=kwargs, task_id=str(uuid.uuid4()), throw=True)


def _clocks(standins: psutil.Process) -> tuple[float, float, float]:
    return time.process_time(), time.perf_counter(), _cpu_seconds(standins)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _measure_worker(directory: Path, standins: psutil.Process) -> None:
    from harness.broker.server import acquire

    (directory / "celeryconfig.py").write_text(CONFIG)
    os.environ["PYTHONPATH"] = f"{directory}{os.pathsep}{Path.cwd()}"
    sys.path.insert(0, str(directory))
    with acquire(directory / "broker") as broker:
        os.environ["CELERY_BROKER_URL"] = broker.amqp_url
        with _worker() as worker:
            for load in WORKER_LOADS:
                _measure_load(*load, standins=standins, worker=worker)


@contextlib.contextmanager
def _worker() -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "celery", "-A", "examx", "worker", "--pool=gevent", "--concurrency=200"]
    process = subprocess.Popen(
        [*command, "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--task-events"]
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _measure_load(
    name: str, service: str, messages: int, latency_seconds: float, *, standins: psutil.Process, worker: psutil.Process
) -> None:
    import urllib3

    from examx import app, effects

    profile = {service: {"latency_seconds": latency_seconds}}
    url = os.environ["EXAMX_SERVICES_URL"]
    assert urllib3.request("PUT", f"{url}/_profile", json=profile).status == 200
    _publish_and_wait(app, effects, name, 200)  # connections are made before the clock starts
    wall, cpu, outside = time.perf_counter(), _cpu_seconds(worker), _cpu_seconds(standins)
    _publish_and_wait(app, effects, name, messages)
    wall, cpu, outside = time.perf_counter() - wall, _cpu_seconds(worker) - cpu, _cpu_seconds(standins) - outside
    each = 1000 / messages
    memory = worker.memory_info().rss / 2**20
    print(
        f"{name}: {messages / wall:.0f}/s, worker {cpu * each:.3f} ms CPU each"
        f" ({cpu / wall:.2f} cores, {memory:.0f} MiB), stand-ins {outside * each:.3f} ms each",
        flush=True,
    )


def _publish_and_wait(app: Any, effects: Any, name: str, messages: int) -> None:
    start = max((marker.seq for marker in effects.markers_after(0, at_most=10**6)), default=0)
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(messages):
            app.send_task(name, task_id=str(uuid.uuid4()), producer=producer, retry=False)
    _wait(lambda: len(effects.markers_after(start, at_most=10**6)) >= messages, DRAIN_SECONDS, f"{messages} x {name}")


def _wait(condition: Any, limit_seconds: float, what: str) -> None:
    limit = time.monotonic() + limit_seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {limit_seconds:.0f} s for {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
