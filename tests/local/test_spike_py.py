"""loadtests/spike.py under Locust on a real RabbitMQ: headless, distributed, in the UI, and with bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import processes
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.spike import arrivals, journals
from harness.spike.publisher_app import CELERYCONFIG, publisher_app
from harness.spike.scenario import load_scenario
from harness.spike.services import stand_ins
from tests.local.examx.fronts import front

ROOT = Path(__file__).parents[2]
LOCUST = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtests" / "spike.py")]
ROOM = 10
pytestmark = pytest.mark.timeout(180)

WORKER = """
import os, time
from celery import Celery
from kombu import Queue

app = Celery("work", broker=os.environ["BROKER_URL"])
app.conf.task_queues = [Queue("io", queue_arguments={"x-queue-type": "classic", "x-max-priority": 9})]

@app.task(name="work")
def work(fail=False):
    time.sleep(0.1)
    if fail:
        raise ValueError("told to")
"""

EXAMX_WORKER = """
import os
from examx.application import app
from kombu import Queue

app.conf.broker_url = os.environ["BROKER_URL"]
app.conf.task_queues = [Queue("io", queue_arguments={"x-queue-type": "classic", "x-max-priority": 9})]
"""

SCENARIO = """\
name: test
title: Test
description: A burst that the queue cannot hold.
limit_seconds: 60
seed: 3
tasks:
  - {task: work, service_seconds: 0.1, cpu_seconds: 0.001}
phases:
  - {name: burst, count: 60}
publisher:
  deadline_seconds: 50
  connections: 4
  hold_seconds: 0.1
  cpu_seconds: 0.001
  backoff: {first_seconds: 0.1, max_seconds: 0.5}
objectives:
  - {name: lost, max: 0}
"""


def topology(*, classes: tuple[str, ...] = ("io",)) -> dict[str, Any]:
    queue = {"type": "classic", "max_priority": 9, "overflow": "reject-publish"}
    worker = {"concurrency": 4, "replicas": {"min": 1, "max": 1}}
    return {
        "version": 1,
        "default_queue": "io",
        "default_priority": 5,
        "routes": [],
        "queues": {name: {**queue, "class": name} for name in classes},
        "classes": dict.fromkeys(classes, worker),
    }


class Load:
    """A directory with a scenario and a topology, and the ways to run Locust on them."""

    def __init__(self, directory: Path, broker: Broker) -> None:
        self.directory = directory
        self.broker = broker
        self.journals = directory / "journals"
        self.scenario = directory / "test.yaml"
        self.scenario.write_text(SCENARIO)
        self.topology = directory / "topology.json"
        self.set_topology(topology())
        self.more: dict[str, str] = {}

    def set_topology(self, document: Mapping[str, Any], *, room: int = ROOM) -> None:
        """Write the file, and make the queues with room for so many messages."""
        self.topology.write_text(json.dumps(document))
        app = publisher_app(document, broker_url=self.broker.amqp_url)
        with app.connection_for_write() as connection:
            for queue in app.conf.task_queues:
                queue(connection.default_channel).declare()
        limits = {"max-length": room, "overflow": "reject-publish"}
        with Management(self.broker.management_url) as api:
            api.put_policy("limits", pattern="^(io|cpu|mixed)$", definition=limits)

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "BROKER_URL": self.broker.amqp_url,
            "CELERY_TOPOLOGY": str(self.topology),
            "SPIKE_SCENARIO": str(self.scenario),
            "SPIKE_RUN_ID": "run",
            "SPIKE_JOURNAL_DIR": str(self.journals),
            **self.more,
        }

    def start(self, *options: str, name: str = "locust") -> subprocess.Popen[bytes]:
        return processes.start([*LOCUST, *options], log=self.log(name), env=self.environment(), cwd=self.directory)

    def log(self, name: str = "locust") -> Path:
        return self.directory / f"{name}.log"

    def run(self, *options: str, name: str = "locust", timeout_seconds: float = 90) -> int:
        """Run Locust without UI until it ends by itself; return its exit code."""
        process = self.start("--headless", "--csv", str(self.directory / "csv"), *options, name=name)
        try:
            return process.wait(timeout_seconds)
        finally:
            processes.stop(process, grace_seconds=2)

    def events(self) -> dict[str, list[str]]:
        """Each task's journal events in the order of time."""
        found: dict[str, list[str]] = {}
        for offer in sorted(journals.read_offers(self.journals).entries, key=lambda one: one.at):
            found.setdefault(offer.id, []).append(str(offer.event))
        return found

    def entries(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Locust's statistics: (type, name) -> (requests, failures)."""
        with (self.directory / "csv_stats.csv").open() as file:
            return {
                (row["Type"], row["Name"]): (int(row["Request Count"]), int(row["Failure Count"]))
                for row in csv.DictReader(file)
                if row["Type"]
            }


@pytest.fixture
def load(tmp_path: Path, vhost_broker: Broker) -> Load:
    return Load(tmp_path, vhost_broker)


@pytest.fixture
def worker(load: Load) -> Iterator[Callable[[], None]]:
    """Start a Celery worker with events on queue io when called; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        (load.directory / "work.py").write_text(WORKER)
        options = ["--pool=threads", "--concurrency=4", "--queues=io", "-E", "--loglevel=INFO", "--without-mingle"]
        command = [sys.executable, "-m", "celery", "-A", "work", "worker", *options]
        env = {**load.environment(), "PYTHONPATH": str(load.directory)}
        log = load.log("worker")
        started.append(processes.start(command, log=log, env=env, cwd=load.directory))
        processes.wait_until(
            lambda: b" ready." in log.read_bytes(), timeout_seconds=60, what="the worker", process=started[-1]
        )

    yield start
    for process in started:
        processes.stop(process, grace_seconds=5)


def test_a_burst_beyond_the_queue_is_refused_retried_and_done(load: Load, worker: Callable[[], None]) -> None:
    worker()
    assert load.run("--scenario", str(load.scenario)) == 0, load.log().read_text()
    events = load.events()
    plan = arrivals.plan(load_scenario(load.scenario), topology(), run_id="run")
    assert set(events) == {one.id for one in plan.arrivals}
    assert all(one[0] == "offered" and one[-1] == "accepted" for one in events.values())
    refused = sum(one.count("refused") for one in events.values())
    assert refused > 0
    entries = load.entries()
    assert entries["publish", "work"] == (60, 0)
    assert entries["refused", "work"] == (refused, refused)
    assert entries["e2e", "work"] == (60, 0)
    assert "every task did its work" in load.log().read_text()


def test_tasks_that_fail_are_seen_to_end_and_the_exit_code_says_so(load: Load, worker: Callable[[], None]) -> None:
    worker()
    load.scenario.write_text(SCENARIO.replace("task: work,", "task: work, kwargs: {fail: true},").replace("60}", "5}"))
    assert load.run() == 1
    assert load.entries()["e2e", "work"] == (5, 5)
    assert "told to" in (load.directory / "csv_failures.csv").read_text()


def test_without_workers_the_run_ends_at_its_limit_and_leaves_nothing_open(load: Load) -> None:
    load.scenario.write_text(SCENARIO.replace("limit_seconds: 60", "limit_seconds: 4"))
    assert load.run() == 1
    last = Counter(one[-1] for one in load.events().values())
    assert last.keys() <= {"accepted", "gave_up", "unconfirmed"}
    assert last["accepted"] == ROOM
    assert last["gave_up"] + last["unconfirmed"] == 60 - ROOM  # the limit may meet attempts that wait for their answer
    assert last["gave_up"] > last["unconfirmed"]
    assert "NOT every task did its work" in load.log().read_text()


def test_a_queue_that_is_not_there_ends_the_run_at_once_and_says_why(load: Load) -> None:
    with Management(load.broker.management_url) as api:
        api.delete_queue("io")
    started = time.monotonic()
    assert load.run() == 1
    assert time.monotonic() - started < 40
    assert set(map(tuple, load.events().values())) == {("offered", "refused", "gave_up")}
    assert "Unroutable: no queue" in (load.directory / "csv_failures.csv").read_text()


@pytest.mark.full
def test_locust_workers_share_the_load_without_overlap(load: Load, worker: Callable[[], None]) -> None:
    worker()
    port = str(processes.free_port())
    workers = [load.start("--worker", "--master-port", port, name=f"locust-worker-{number}") for number in range(2)]
    try:
        code = load.run("--master", "--master-bind-port", port, "--expect-workers", "2")
        assert code == 0, load.log().read_text()
    finally:
        for process in workers:
            processes.stop(process, grace_seconds=10)
    paths = sorted(load.journals.glob("publisher-*.jsonl"))
    assert [path.name for path in paths] == ["publisher-0.jsonl", "publisher-1.jsonl"]
    shares = [{json.loads(line)["id"] for line in path.read_text().splitlines()} for path in paths]
    assert [len(share) for share in shares] == [30, 30]
    plan = arrivals.plan(load_scenario(load.scenario), topology(), run_id="run")
    assert shares[0] | shares[1] == {one.id for one in plan.arrivals}
    assert load.entries()["e2e", "work"] == (60, 0)


@pytest.mark.full
def test_a_run_can_be_started_twice_in_the_ui(load: Load, worker: Callable[[], None]) -> None:
    worker()
    load.scenario.write_text(SCENARIO.replace("count: 60", "count: 12"))
    load.journals.mkdir()
    port = processes.free_port()
    process = load.start("--web-host", "127.0.0.1", "--web-port", str(port))
    ui = f"http://127.0.0.1:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def answers() -> bool:
        try:
            with opener.open(ui, timeout=5):
                return True
        except OSError:
            return False

    def swarm(scenario: str) -> None:
        form = urllib.parse.urlencode({"scenario": scenario}).encode()
        with opener.open(f"{ui}/swarm", data=form, timeout=10) as answer:
            assert json.load(answer)["success"], load.log().read_text()

    try:
        processes.wait_until(answers, timeout_seconds=60, what="Locust's UI", process=process)
        with opener.open(ui, timeout=5) as page:
            html = page.read().decode()
        assert "email-campaign" in html  # the scenarios can be chosen
        swarm("email-campain")
        processes.wait_until(
            lambda: "unknown scenario 'email-campain'" in load.log().read_text(),
            timeout_seconds=20,
            what="word of the wrong scenario",
            process=process,
        )
        offered = []
        for number in (1, 2):
            swarm(str(load.scenario))
            processes.wait_until(
                lambda number=number: load.log().read_text().count("every task did its work: planned 12") == number,
                timeout_seconds=60,
                what="the end of the run",
                process=process,
            )
            offered.append(set(load.events()))
            assert set(map(tuple, load.events().values())) == {("offered", "accepted")}
        with opener.open(f"{ui}/stats/requests", timeout=5) as answer:
            names = {(row["method"], row["name"]) for row in json.load(answer)["stats"]}
        assert {("publish", "work"), ("e2e", "work")} <= names
        assert len(offered[0] | offered[1]) == 24
    finally:
        processes.stop(process, grace_seconds=10)


def test_a_run_that_is_ended_from_outside_leaves_a_whole_journal(load: Load) -> None:
    process = load.start("--headless")
    try:
        journal = load.journals / "publisher-0.jsonl"
        processes.wait_until(
            lambda: journal.exists() and journal.read_text().count("refused") > 20,
            timeout_seconds=60,
            what="refusals",
            process=process,
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1
    finally:
        processes.stop(process, grace_seconds=2)
    last = Counter(one[-1] for one in load.events().values())
    assert last["accepted"] == ROOM
    assert set(last) <= {"accepted", "gave_up", "unconfirmed"}
    assert last["unconfirmed"] <= 4  # its four publishers may be stopped in the middle of an attempt


def test_effects_are_read_from_the_stand_ins_and_the_database(load: Load) -> None:
    """Two tasks of the reference application, a mail and a row, by a real worker of it."""
    load.set_topology(topology(), room=100)
    tasks = """\
  - {task: forgot_password_mail, service_seconds: 0.1, cpu_seconds: 0.001}
  - {task: save_question_index, service_seconds: 0.1, cpu_seconds: 0.001}
"""
    wanted = SCENARIO.replace("  - {task: work, service_seconds: 0.1, cpu_seconds: 0.001}\n", tasks)
    load.scenario.write_text(wanted.replace("count: 60", "count: 20"))
    with stand_ins(load.directory / "services", {"smtp": {"latency_seconds": 0.1}}) as services:
        load.more = {
            "SPIKE_EFFECTS": json.dumps({"standins_url": services.http_url, "database_url": services.database_url})
        }
        env = {**load.environment(), **services.secret(), "PYTHONPATH": f"{load.directory}:{ROOT}"}
        (load.directory / "work.py").write_text(EXAMX_WORKER)
        command = [sys.executable, "-m", "celery", "-A", "work:app", "worker", "--pool=threads", "--concurrency=4"]
        worker = processes.start(command, log=load.log("worker"), env=env, cwd=load.directory)
        try:
            assert load.run() == 0, load.log().read_text() + load.log("worker").read_text()
        finally:
            processes.stop(worker, grace_seconds=5)
    entries = load.entries()
    assert entries["e2e", "forgot_password_mail"] == (10, 0)
    assert entries["e2e", "save_question_index"] == (10, 0)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({"SPIKE_SCENARIO": "email-campain"}, [], "unknown scenario 'email-campain' (did you mean 'email-campaign'?)"),
        pytest.param({}, ["--scenario", "gone.yaml"], "gone.yaml: no such scenario file", marks=pytest.mark.full),
        pytest.param({"BROKER_URL": ""}, [], "BROKER_URL is not set", marks=pytest.mark.full),
        ({"BROKER_URL": "amqp://guest:sesame@127.0.0.1:1//"}, [], "no broker answers at BROKER_URL"),
        pytest.param(
            {"CELERY_TOPOLOGY": "/dev/null"}, [], "CELERY_TOPOLOGY /dev/null is not JSON", marks=pytest.mark.full
        ),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    load: Load, changed: dict[str, str], options: list[str], message: str
) -> None:
    load.more = changed
    assert load.run(*options) == 2
    said = load.log().read_text()
    assert f"error: {message}" in said
    assert said.count("error: ") == 1
    assert "Traceback" not in said
    assert "sesame" not in said


def test_without_a_topology_that_of_the_production_values_is_used(load: Load) -> None:
    load.more = {"CELERY_TOPOLOGY": "", "HELM": os.environ.get("HELM", ""), "HOME": os.environ.get("HOME", "/")}
    load.scenario.write_text(SCENARIO.replace("limit_seconds: 60", "limit_seconds: 3"))
    assert load.run() == 1  # no worker; but offered they were, to the queue that prod routes an unknown task to
    assert {offer.queue for offer in journals.read_offers(load.journals).entries} == {"io"}


@pytest.mark.full
def test_a_burst_through_the_web_front_is_refused_retried_and_done(load: Load) -> None:
    """The front's answers mean to the load and its ledger what the broker's do."""
    load.scenario.write_text(SCENARIO.replace("task: work", "task: forgot_password_mail"))
    load.set_topology(topology(), room=5)
    mount = load.directory / "mount"
    mount.mkdir()
    shutil.copy(CELERYCONFIG, mount)
    shutil.copy(load.topology, mount)
    (load.directory / "work.py").write_text(EXAMX_WORKER)
    options = ["--pool=threads", "--concurrency=2", "-E", "--loglevel=INFO"]
    command = [sys.executable, "-m", "celery", "-A", "work:app", "worker", *options]
    with stand_ins(load.directory / "services", {"smtp": {"latency_seconds": 0.1}}) as services:
        env = {**load.environment(), **services.secret(), "CELERY_BROKER_URL": load.broker.amqp_url}
        worker = processes.start(
            command,
            log=load.log("worker"),
            env={**env, "PYTHONPATH": f"{load.directory}:{ROOT}"},
            cwd=load.directory,
        )
        try:
            with front(load.directory, {**env, "PYTHONPATH": f"{mount}:{ROOT}"}) as started:
                load.more = {"SPIKE_EFFECTS": json.dumps({"standins_url": services.http_url})}
                code = load.run("--front", started.url)
                assert code == 0, load.log().read_text() + load.log("worker").read_text()
                metrics = started.get("/metrics")[1]
        finally:
            processes.stop(worker, grace_seconds=5)
    events = load.events()
    assert len(events) == 60
    assert all(one[0] == "offered" and one[-1] == "accepted" for one in events.values())
    refused = sum(one.count("refused") for one in events.values())
    assert refused > 0
    assert f'examx_web_answers_total{{status="503"}} {refused}.0' in metrics
    assert load.entries()["e2e", "forgot_password_mail"] == (60, 0)


def test_a_front_that_is_not_there_is_refused(load: Load, closed_port: int) -> None:
    assert load.run("--front", f"http://127.0.0.1:{closed_port}") == 2
    assert "no web front answers at --front" in load.log().read_text()
    assert load.run("--front", "127.0.0.1:8000", name="malformed") == 2
    assert "--front must look like http://host:8000" in load.log("malformed").read_text()
