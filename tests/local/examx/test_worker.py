"""The application in real processes: gevent side by side on one database, and a worker on RabbitMQ."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from examx import database, effects, files, schema
from harness.broker.server import Broker
from tests.local.examx.running import ROOT, Standins, environment, standins, wait_for

CONFIG = """
from examx.application import STANDALONE
globals().update(STANDALONE)
broker_heartbeat = 0  # with heartbeats a stock gevent worker takes 10 to 20 messages a second
worker_send_task_events = True
"""


def outside(running: Standins, directory: Path, **more: str) -> dict[str, str]:
    """The environment of a process that uses the stand-ins and this directory's database and files."""
    return environment(
        EXAMX_DATABASE_URL=f"sqlite:///{directory / 'examx.sqlite3'}",
        EXAMX_FILES_DIR=str(directory / "files"),
        **running.environment(),
        **more,
    )


GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from gevent.pool import Pool
from examx import app
app.loader.import_default_modules()
process, tasks, greenlets = map(int, sys.argv[1:4])
names = ["forgot_password_mail", "generate_ai_content_task", "process_exam_auto_submit"]
def one(number):
    name = names[number % 3]
    app.tasks[name].apply(task_id=f"{name}-{process}-{number}", throw=True)
pool = Pool(greenlets)
for greenlet in [pool.spawn(one, number) for number in range(tasks)]:
    greenlet.get()
"""


@pytest.mark.full
@pytest.mark.timeout(120)
def test_gevent_processes_share_a_database_without_waiting_for_each_other(tmp_path: Path):
    processes, tasks, greenlets, latency_seconds = 4, 600, 200, 1.0
    rules = {"latency_seconds": latency_seconds}
    url = f"sqlite:///{tmp_path / 'examx.sqlite3'}"
    seen: list[effects.Marker] = []
    with standins(tmp_path / "standins", profile={"smtp": rules, "ai": rules}) as running:
        started = time.monotonic()
        children = [
            subprocess.Popen(
                [sys.executable, "-c", GEVENT, str(number), str(tasks), str(greenlets)], env=outside(running, tmp_path)
            )
            for number in range(processes)
        ]
        try:
            while len(seen) < processes * tasks:  # read on while four processes write
                seen += effects.markers_after(seen[-1].seq if seen else 0, database_url=url, at_most=100)
                assert time.monotonic() - started < 60, f"{len(seen)} of {processes * tasks} markers after 60 s"
                assert not any(child.poll() for child in children), "a process failed"
                time.sleep(0.01)
            assert [child.wait(20) for child in children] == [0] * processes
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait(10)
        waited = {f"{n}-{p}-{i}" for p in range(processes) for i, n in each_task(tasks) if n != DATABASE_TASK}
        assert running.counts() == dict.fromkeys(waited, 1)
    assert len({marker.task_id for marker in seen}) == len(seen) == processes * tasks
    assert [marker.seq for marker in seen] == sorted(marker.seq for marker in seen)


DATABASE_TASK = "process_exam_auto_submit"


def each_task(tasks: int) -> list[tuple[int, str]]:
    names = ["forgot_password_mail", "generate_ai_content_task", DATABASE_TASK]
    return [(number, names[number % 3]) for number in range(tasks)]


SCHEMA = (
    "import sys; from examx import effects; effects.prepare(); effects.once(task_id=sys.argv[1], task='x', kind='row')"
)


@pytest.mark.timeout(60)
def test_processes_may_make_the_schema_at_the_same_time(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'new' / 'examx.sqlite3'}"
    children = [
        subprocess.Popen([sys.executable, "-c", SCHEMA, str(number)], env=environment(EXAMX_DATABASE_URL=url))
        for number in range(6)
    ]
    assert [child.wait(40) for child in children] == [0] * 6
    assert {marker.task_id for marker in effects.markers_after(database_url=url)} == {
        str(number) for number in range(6)
    }


@contextlib.contextmanager
def worker(env: dict[str, str], *options: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`celery -A examx worker`, ended with the block."""
    command = [sys.executable, "-m", "celery", "-A", "examx", "worker", "--without-gossip", "--without-mingle"]
    with log.open("ab") as stream:
        process = subprocess.Popen([*command, *options], env=env, stdout=stream, stderr=stream)
    try:
        wait_for(lambda: b" ready." in log.read_bytes() or process.poll() is not None, "the worker", limit_seconds=40)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def publish(env: dict[str, str], name: str, ids: list[str]) -> None:
    """Send tasks as an application would, in a process of its own."""
    code = (
        "import json, sys\nfrom examx import app\n"
        "for task_id in json.loads(sys.argv[2]):\n    app.send_task(sys.argv[1], task_id=task_id)\n"
    )
    subprocess.run([sys.executable, "-c", code, name, json.dumps(ids)], env=env, timeout=60, check=True)


@pytest.fixture
def mounted(tmp_path: Path) -> str:
    """A directory with a celeryconfig, as the chart mounts one, and the PYTHONPATH that finds it."""
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "celeryconfig.py").write_text(CONFIG)
    return os.pathsep.join([str(tmp_path / "mount"), str(ROOT)])


@pytest.mark.full
@pytest.mark.timeout(180)
def test_worker_answers_the_guides_command_and_survives_being_killed(
    vhost_broker: Broker, mounted: str, tmp_path: Path
):
    count, concurrency = 60, 20
    mails = [f"mail-{number}" for number in range(count)]
    gevent = ("--pool=gevent", f"--concurrency={concurrency}", "--loglevel=INFO")
    with standins(tmp_path / "standins", profile={"smtp": {"latency_seconds": 0.5}}) as running:
        env = outside(running, tmp_path, CELERY_BROKER_URL=vhost_broker.amqp_url, PYTHONPATH=mounted)
        with worker(env, *gevent, log=tmp_path / "first.log") as first:
            command = [sys.executable, "-m", "celery", "-A", "examx", "inspect", "active_queues", "--json", "-t", "10"]
            found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
            (queues,) = json.loads(found.stdout).values()
            assert [queue["name"] for queue in queues] == ["celery"]
            publish(env, "forgot_password_mail", mails)
            wait_for(lambda: len(running.counts()) >= concurrency, "the first mails")
            first.kill()
            first.wait(10)
        with worker(env, *gevent, log=tmp_path / "second.log"):
            url = env["EXAMX_DATABASE_URL"]
            wait_for(lambda: len(effects.markers_after(database_url=url)) == count, "all markers", limit_seconds=60)
        delivered = running.counts()
    assert set(delivered) == set(mails)  # none lost
    assert sum(delivered.values()) - count <= concurrency  # and at most those in flight twice


@pytest.mark.timeout(180)
def test_a_task_sends_its_parts_and_sends_the_same_ones_when_it_runs_again(
    vhost_broker: Broker, mounted: str, session_standins: Standins, tmp_path: Path
):
    env = outside(session_standins, tmp_path, CELERY_BROKER_URL=vhost_broker.amqp_url, PYTHONPATH=mounted)
    url = env["EXAMX_DATABASE_URL"]
    code = (
        "from examx.publishing import send\n"
        "for part in (0, 1, 2):\n"  # as a first run does that dies before its marker
        "    send('process_exam_auto_submit_for_students', parent_id='exam', part=part,"
        " kwargs={'exam': 1, 'student_numbers': list(range(part * 5, min(part * 5 + 5, 12)))})\n"
        "from examx import app\n"
        "app.send_task('process_exam_auto_submit', task_id='exam', kwargs={'students': 12, 'students_a_task': 5})\n"
    )
    with worker(env, "--pool=threads", "--concurrency=2", "--loglevel=INFO", log=tmp_path / "log"):
        subprocess.run([sys.executable, "-c", code], env=env, timeout=60, check=True)
        wait_for(lambda: len(effects.markers_after(database_url=url)) == 4, "the exam and its parts", limit_seconds=40)
        log = (tmp_path / "log").read_text
        wait_for(lambda: log().count("succeeded") == 7, "the redelivered parts", limit_seconds=40)
    students = database.read(
        lambda c: list(c.execute(select(schema.submissions.c.student)).scalars()), database_url=url
    )
    assert sorted(students) == list(range(12))


@pytest.mark.timeout(180)
def test_prefork_worker_runs_cpu_tasks(vhost_broker: Broker, mounted: str, session_standins: Standins, tmp_path: Path):
    """Forked children have connections of their own, to the database and to the services."""
    env = outside(
        session_standins,
        tmp_path,
        CELERY_BROKER_URL=vhost_broker.amqp_url,
        PYTHONPATH=mounted,
        CELERY_WORKERS_CLASS="cpu",
    )
    names = ["bulk_upload_questions_task", "generate_question_paper_pdfs", "update_order_copy_pdf_task"]
    ids = {name: [f"{name}-{number}" for number in range(6)] for name in names}
    with worker(env, "--pool=prefork", "--concurrency=3", "--loglevel=INFO", log=tmp_path / "log"):
        for name in names:
            publish(env, name, ids[name])
        url = env["EXAMX_DATABASE_URL"]
        wait_for(lambda: len(effects.markers_after(database_url=url)) == 18, "all markers", limit_seconds=60)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert {marker.task_id for marker in effects.markers_after(database_url=url)} == {i for n in names for i in ids[n]}
    papers = [files.path_of(task_id, directory=tmp_path / "files").read_bytes() for task_id in ids[names[1]]]
    assert papers == [papers[0]] * 6
    assert papers[0].startswith(b"%PDF")
