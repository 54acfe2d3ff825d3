"""The emergency commands as a person types them, on a release whose workers are real processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from harness import processes
from harness.broker.management import Management
from harness.broker.server import Broker
from harness.monitoring import beside, prometheus
from harness.monitoring.configuration import Target
from harness.ops import local_api, runs
from harness.runtime.base import Release, ScaleState
from harness.runtime.local import LocalRuntime
from tests import commands
from tests.local import runtime_manifests
from tests.local.monitoring.exposition import exposed

COMMAND_SECONDS = 60.0
DEPLOYMENT = "celery-io-worker"
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": DEPLOYMENT},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": DEPLOYMENT},
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [{"type": "Resource", "resource": {
            "name": "memory", "target": {"type": "Utilization", "averageUtilization": 90},
        }}],
        "behavior": {
            direction: {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]}
            for direction in ("scaleUp", "scaleDown")
        },
    },
}  # fmt: skip
TOPOLOGY = {
    "queues": {"io": {"class": "io", "max_length_messages": 100, "dead_letter_queue": "io.dead"}},
    "classes": {"io": {"queues": ["io"]}},
}


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return what a command printed that had to end with this code, with what it complained of where it failed."""
    assert done.returncode == code, f"{done.args}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr if code else done.stdout


@dataclass
class LocalRun:
    """A release on the local runtime, and the commands that a person types meanwhile."""

    runtime: LocalRuntime
    environment: dict[str, str]
    ahead_seconds: float = field(default=0.0, init=False)  # how far the clock by which the run ends overrides is ahead

    def ops(self, *arguments: str, code: int = 0) -> str:
        """Run `harness ops` while the runtime goes on; return what it prints (with what it says, if it fails).

        In a thread: there are scores of them, and a process of its own spends most of a second on imports.
        """
        with ThreadPoolExecutor(1) as beside:
            done = beside.submit(commands.captured, "ops", *arguments)
            deadline = time.monotonic() + COMMAND_SECONDS
            while not done.done() and time.monotonic() < deadline:
                self.runtime.tick()
                time.sleep(0.02)
            return said(done.result(timeout=0), code)

    def harness(self, *arguments: str, code: int = 0) -> str:
        """Run any command as a process to its end, and return what it says. It must end with `code`."""
        command = [sys.executable, "-m", "harness", *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=self.environment) as process:
            deadline = time.monotonic() + COMMAND_SECONDS
            while process.poll() is None:
                if time.monotonic() > deadline:
                    process.kill()
                self.runtime.tick()
                time.sleep(0.02)
            out, err = process.communicate()
        return said(subprocess.CompletedProcess(command, process.returncode, out, err), code)

    def answer(self, *arguments: str) -> Any:
        """Run it with --json."""
        return json.loads(self.ops(*arguments, "--json"))

    def reaches(self, seconds: float = 30.0, **wanted: int | None) -> bool:
        """Whether the Deployment comes to have these counts."""
        deadline = time.monotonic() + seconds
        while any(getattr(self.scale, name) != value for name, value in wanted.items()):
            if time.monotonic() > deadline:
                return False
            self.runtime.tick()
            time.sleep(0.02)
        return True

    def clock(self) -> float:
        """The time as the run sees it."""
        return time.time() + self.ahead_seconds

    @property
    def scale(self) -> ScaleState:
        (state,) = self.runtime.scales()
        return state


@pytest.fixture
def run(vhost_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRun]:
    """One class of small processes that do as workers do, scaled every half second."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest = runtime_manifests.deployment(DEPLOYMENT, replicas=None)
    manifest["metadata"]["labels"] = {"celery-workers/class": "io"}
    runtime = LocalRuntime(
        directory=tmp_path / "runtime", queue_source=dict, sync_seconds=0.5, metrics_seconds=0.5, stop_grace_seconds=2
    )
    made = LocalRun(runtime, dict(os.environ))
    directory = tmp_path / "runtime" / local_api.DIRECTORY
    with contextlib.ExitStack() as stack:
        stack.callback(runtime.uninstall)
        controller = local_api.Controller(runtime, directory=directory, release="celery", clock=made.clock)
        runtime.add_controller(controller.tick)
        runtime.install(Release("celery", "default", [manifest, SCALER], {}))
        runtime.wait_ready(timeout_seconds=30)
        stack.enter_context(
            runs.announced(
                f"run-{os.getpid()}",
                release="celery",
                directory=directory,
                amqp_url=vhost_broker.amqp_url,
                management_url=vhost_broker.management_url,
                redis_url=None,
                topology=TOPOLOGY,
            )
        )
        yield made


def test_a_floor_is_kept_by_the_scaler_and_put_back_by_undo(run: LocalRun) -> None:
    assert run.answer("scale", "io", "2", "--dry-run")["dry_run"]
    assert run.scale.minimum == 1
    told = run.ops("scale", "io", "2")
    assert "min 1, max 2 -> min 2, max 2" in told
    assert run.reaches(desired=2, ready=2)
    (line,) = run.answer("status")["pools"]
    assert (line["minimum"], line["maximum"], line["ready"]) == (2, 2, 2)
    assert "set back to min 1, max 2" in run.ops("undo")
    assert run.reaches(minimum=1, desired=1)
    assert [line["action"] for line in run.answer("log")] == ["set", "undo"]


def test_above_the_maximum_only_when_asked_for(run: LocalRun) -> None:
    assert "--raise-max" in run.ops("scale", "io", "3", code=2)
    run.ops("scale", "io", "3", "--raise-max")
    assert run.reaches(minimum=3, maximum=3, desired=3)


def test_an_override_with_an_end_ends_when_its_command_is_long_gone(run: LocalRun) -> None:
    run.harness("ops", "scale", "io", "2", "--for", "1h")
    assert run.reaches(minimum=2)
    run.ahead_seconds = 3600
    assert run.reaches(minimum=1)
    assert run.answer("log")[-1]["action"] == "expired"
    assert run.answer("status")["overrides"] == []


def test_undo_leaves_what_somebody_has_changed_since(run: LocalRun) -> None:
    run.ops("scale", "io", "2", "--raise-max")
    run.runtime.documents.patch("HorizontalPodAutoscaler", DEPLOYMENT, {"spec": {"maxReplicas": 4}})
    assert "somebody has set it to min 2, max 4" in run.ops("undo", "--all", code=1)
    assert (run.scale.minimum, run.scale.maximum) == (2, 4)


def test_status_shows_queues_against_their_limits(run: LocalRun, vhost_broker: Broker) -> None:
    with Management(vhost_broker.management_url) as api:
        api.create_queue("io")
    (queue,) = run.answer("status")["queues"]
    assert (queue["name"], queue["ready"], queue["limit_messages"], queue["fill"]) == ("io", 0, 100, 0.0)
    screen = run.ops("status")
    assert "HorizontalPodAutoscaler" in screen
    assert "no overrides" in screen


def test_watch_shows_what_waits_and_what_is_wrong_look_by_look(run: LocalRun, vhost_broker: Broker) -> None:
    with Management(vhost_broker.management_url) as api, Connection(vhost_broker.amqp_url) as connection:
        api.create_queue("io")
        channel = connection.channel()
        for _ in range(90):
            channel.basic_publish(channel.prepare_message(b"x"), routing_key="io")
        told = run.harness("watch", "--looks", "2", "--every", "1", "--json")
    looks = [json.loads(line) for line in told.splitlines()]
    assert [look["queues"][0]["ready"] for look in looks] == [90, 90]
    assert {alert["name"] for alert in looks[1]["alerts"]} == {"NoConsumer", "QueueFilling"}
    assert looks[1]["alerts_from"].startswith("this view")
    screen = run.harness("watch", "--looks", "1")
    for told in ("NoConsumer", "90 wait and nobody takes them", "published/s", "empty in"):
        assert told in screen


def test_watch_shows_prometheus_alerts_and_latency_where_there_is_one(
    run: LocalRun, vhost_broker: Broker, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups: [{name: a, rules: [{alert: Slow, expr: 'celery_workers:latency_seconds:p95_5m > 2', "
        "labels: {severity: warning}, annotations: {summary: It is slow}}]}]"
    )
    text = 'celery_workers:latency_seconds:p95_5m{release="celery",class="io",queue="io"} 4\n'
    with exposed(text) as one:
        targets = [Target("one", one.url)]
        with prometheus.run(tmp_path / "own", targets, rule_files=[rules], interval_seconds=0.2) as server:
            processes.wait_until(lambda: bool(server.client.alerts()), timeout_seconds=20, what="the alert")
            with beside.announced(f"run-{os.getpid()}", server.url):  # as `harness monitor` does
                (line,) = run.harness("watch", "--looks", "1", "--json").splitlines()
    look = json.loads(line)
    assert look["queues"][0]["within_seconds"] == 4.0
    assert [(alert["name"], alert["about"], alert["summary"]) for alert in look["alerts"]] == [
        ("Slow", "io", "It is slow")
    ]
    assert look["alerts_from"] == f"Prometheus at {server.url}"
    # The namespace and the release are a cluster's, and this is none.
    elsewhere = ("-n", "exams", "--release", "celery", "--prometheus", server.url)
    gone = json.loads(run.harness("watch", "--looks", "1", "--json", *elsewhere))
    assert "does not answer" in gone["problems"][0]


def test_what_is_not_there_is_refused_with_what_is(run: LocalRun) -> None:
    assert "CLASS gpu: the release has no such class; it has io" in run.ops("scale", "gpu", "2", code=2)
    assert "there is no override abc; in force: none" in run.ops("undo", "abc", code=2)
    assert "there is no local run other" in run.ops("status", "--run", "other", code=2)
    assert "--for 5x" in run.ops("scale", "io", "2", "--for", "5x", code=2)
    assert "no Redis" in run.ops("rate-limit", "send", "10/m", code=2)


def test_without_any_run_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("KUBECONFIG", None)
    command = [sys.executable, "-m", "harness", "ops", "status"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=COMMAND_SECONDS)
    assert (done.returncode, "harness local" in done.stderr) == (2, True)


def test_a_runs_file_is_its_owners_alone(run: LocalRun) -> None:
    (path,) = runs.home().glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
