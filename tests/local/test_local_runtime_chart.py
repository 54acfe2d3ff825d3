"""The chart's production values as processes on a real RabbitMQ."""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path

import pytest
from celery import Celery

from harness.broker.management import Management
from harness.broker.server import Broker
from harness.chart import render
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime

pytestmark = pytest.mark.timeout(180)

DEPLOYMENTS = {"celery-cpu-worker", "celery-io-worker", "celery-mixed-worker"}
TASK = "assign_topics_to_questions"  # needs the database only


def publish(broker: Broker, ids: list[str]) -> None:
    with Celery(broker=broker.amqp_url) as app, app.connection_for_write() as connection:
        producer = connection.Producer()
        for task_id in ids:
            message = app.amqp.as_task_v2(task_id, TASK)
            app.amqp.send_task_message(producer, TASK, message, exchange="celery", routing_key="io")


def done(database: Path) -> set[str]:
    if not database.exists():
        return set()
    with sqlite3.connect(database) as connection:
        tables = connection.execute("select name from sqlite_master where name = 'task_effects'").fetchall()
        return {row[0] for row in connection.execute("select task_id from task_effects")} if tables else set()


@pytest.mark.full
def test_the_rendered_workers_start_work_and_stop(vhost_broker: Broker, tmp_path: Path) -> None:
    broker_secret = {"amqpUrl": vhost_broker.amqp_url, "managementUrl": vhost_broker.management_url}
    database = tmp_path / "examx.sqlite3"
    services = {"EXAMX_DATABASE_URL": f"sqlite:///{database}", "EXAMX_FILES_DIR": str(tmp_path / "files")}
    manifests = render.render(render.environment_files("prod,keda"))
    secrets = {"celery-broker": broker_secret, "examx-services": services}
    with Management(vhost_broker.management_url) as api:
        runtime = LocalRuntime(directory=tmp_path / "run", queue_source=api.queues)
        try:
            runtime.install(Release("celery", "default", manifests, secrets))
            assert {"io", "cpu", "mixed", "io.dead"} <= set(api.queues())
            runtime.wait_ready(timeout_seconds=90)
            assert {pod.deployment for pod in runtime.pods()} == DEPLOYMENTS
            ids = [str(uuid.uuid4()) for _ in range(20)]
            publish(vhost_broker, ids)
            deadline = time.monotonic() + 30
            while done(database) != set(ids):
                assert time.monotonic() < deadline, done(database)
                runtime.tick()
                time.sleep(0.1)
            assert [pod.restarts for pod in runtime.pods()] == [0, 0, 0]
        finally:
            runtime.uninstall()
        stopped = [event.message for event in runtime.events() if event.kind == "stopped"]
        assert stopped == ["worker: exit code 0"] * 3  # a warm shutdown each, nobody had to be killed
