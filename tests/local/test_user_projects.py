"""Two applications that know nothing of the chart, by their values files alone: a small one, and a Django project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.broker.management import Management
from harness.broker.server import Broker
from harness.chart import render, yaml_strict
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime

pytestmark = pytest.mark.timeout(180)

APPS = Path(__file__).parents[1] / "cluster" / "apps"
ANSWER_SECONDS = 90


@contextmanager
def installed(name: str, broker: Broker, directory: Path, env: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run an application's release; yield a publisher's environment.

    What image and volumes have, processes here are given: the place of the sources, and paths in a Secret.
    """
    local = directory / "local.yaml"
    # A path in the manifest would be taken for one in the pod, should the checkout stand below /tmp.
    place = {"command": ["celery", "--workdir=$(SOURCES)"], "volumes": [], "volumeMounts": []}
    here = {"env": [], "envFrom": [{"secretRef": {"name": "here"}}], "workerDefaults": place}
    local.write_text(yaml_strict.dump_all([here]))
    manifests = render.render([APPS / name / "values.yaml", local])
    addresses = {"amqpUrl": broker.amqp_url, "managementUrl": broker.management_url}
    secrets = {"celery-broker": addresses, "here": {**env, "SOURCES": str(APPS / name)}}
    config = directory / "config"
    config.mkdir()
    for file, text in next(one["data"] for one in manifests if one["kind"] == "ConfigMap").items():
        (config / file).write_text(text)
    with Management(broker.management_url) as api:
        runtime = LocalRuntime(directory=directory / "run", queue_source=api.queues)
        try:
            runtime.install(Release("celery", "default", manifests, secrets))
            runtime.wait_ready(timeout_seconds=90)
            path = os.pathsep.join(map(str, (config, APPS / name)))
            yield {"PATH": os.environ["PATH"], "PYTHONPATH": path, "CELERY_BROKER_URL": broker.amqp_url, **env}
        finally:
            runtime.uninstall()


def run(environment: dict[str, str], *command: str) -> Any:
    """Run a publisher's command; return the last line of its output, parsed if there is one."""
    done = subprocess.run(
        [sys.executable, *command],
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=ANSWER_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.startswith(("{", "[")) else done.stdout


@pytest.mark.full
def test_an_application_with_settings_of_its_own(vhost_broker: Broker, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    with installed("parcels", vhost_broker, tmp_path, {"PARCELS_LEDGER": str(lines)}) as environment:
        wanted = [["label.print", "P1", 1200], ["tracking.ask", "P1"], ["customs.declare", "P1"]]
        results = run(environment, str(APPS / "parcels" / "send.py"), json.dumps(wanted))
    assert sorted(map(str, results.values())) == ["600", "P1-CN22", "on its way"]
    noted = {line["task"]: line for line in map(json.loads, lines.read_text().splitlines())}
    assert {line["id"] for line in noted.values()} == set(results)
    where = {task: (line["queue"], line["priority"], line["worker"].split("@")[0]) for task, line in noted.items()}
    assert where == {
        "label.print": ("labels", 5, "printing"),
        "tracking.ask": ("tracking", 4, "asking"),
        "customs.declare": ("labels", 9, "printing"),
    }
    assert {line["timezone"] for line in noted.values()} == {"Europe/Vienna"}


@pytest.mark.full
def test_a_django_project(vhost_broker: Broker, tmp_path: Path) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "bookshop.settings", "BOOKSHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
    manage = str(APPS / "bookshop" / "manage.py")
    run({"PYTHONPATH": str(APPS / "bookshop"), **env}, manage, "migrate", "--verbosity=0")
    with installed("bookshop", vhost_broker, tmp_path, env) as environment:
        orders = run(environment, manage, "order", "3")
    assert [order["invoice"] for order in orders] == [f"invoice for volume {number}" for number in range(3)]
    assert {order["invoiced_by"].split("@")[0] for order in orders} == {"invoices"}
    assert {order["mailed_by"].split("@")[0] for order in orders} == {"mail"}
