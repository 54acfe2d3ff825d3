"""What `helm test` runs, against a real broker and real workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import workers
from harness.broker.management import Management
from harness.broker.server import Broker
from tests.local.silent_proxy import SilentProxy
from tests.local.worker_release import ReleaseUnderTest

pytestmark = pytest.mark.timeout(120)

APP = "tests.local.user_apps.plain:app"
AT_REST = {"replicas": {"min": 0, "max": 3}, "scaler": "keda"}


def make_topology() -> workers.Topology:
    classes = {
        "io": workers.make_class("threads", 4, "io", "mail"),
        "cpu": workers.make_class("prefork", 2, "cpu"),
        "rest": workers.make_class("threads", 4, "rest", **AT_REST),
    }
    queues = {name: workers.make_queue("io", dead_letter_queue=f"{name}.dead") for name in ("io", "mail")}
    queues |= {name: workers.make_queue(name) for name in ("cpu", "rest")}
    return workers.make_topology(app=APP, classes=classes, queues=queues)


def check(config: Path, amqp_url: str, *, seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run the test Pod's command; fail when it is not over soon after its time."""
    environment = workers.base_environment(config, amqp_url) | {"CELERY_WORKERS_CHECK_SECONDS": str(seconds)}
    command = [sys.executable, str(config / "celery_workers_check.py")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds + 15, check=False)


def test_a_release_that_works_says_who_answered(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    with release.worker("io", pod="io-0"), release.worker("io", pod="io-1"), release.worker("cpu", pod="cpu-0"):
        done = check(release.config, vhost_broker.amqp_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "release celery works: 4 queues; workers that answered: cpu 1, io 2, rest 0 (at rest)\n"


def test_what_is_missing_is_waited_for_and_named(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    with Management(vhost_broker.management_url) as api:
        api.delete_queue("cpu.dead")
    started = time.monotonic()
    with release.worker("io", pod="io-0"):
        done = check(release.config, vhost_broker.amqp_url, seconds=4)
    assert time.monotonic() - started >= 4
    assert done.returncode == 1
    assert "queue 'cpu.dead' does not exist; read the topology Job's log" in done.stderr
    assert "class cpu: no worker answers that takes from cpu (consumed now: none); look at its pods" in done.stderr
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.full
def test_a_class_of_another_release_does_not_answer_for_this_one(vhost_broker: Broker, tmp_path: Path) -> None:
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    other = make_topology()
    other["classes"]["io"]["queues"] = ["elsewhere"]
    other["queues"] = {"elsewhere": workers.make_queue("io", dead_letter_queue=None), "cpu": other["queues"]["cpu"]}
    beside = ReleaseUnderTest.install(vhost_broker, tmp_path / "other", other)
    with beside.worker("io", pod="io-0"), release.worker("cpu", pod="cpu-0"):
        done = check(release.config, vhost_broker.amqp_url, seconds=3)
    assert done.returncode == 1
    assert "class io: no worker answers that takes from io, mail (consumed now: none)" in done.stderr
    assert "class cpu" not in done.stderr


def test_a_broker_out_of_reach_is_named_without_its_password(tmp_path: Path, closed_port: int) -> None:
    config = workers.write_config(tmp_path / "config", make_topology())
    done = check(config, f"amqp://u:geheim@127.0.0.1:{closed_port}//", seconds=2)
    assert done.returncode == 1
    assert f"the broker at 127.0.0.1:{closed_port} cannot be used" in done.stderr
    assert "correct key amqpUrl of the broker's Secret" in done.stderr
    assert "geheim" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_password_is_said_in_time(vhost_broker: Broker, tmp_path: Path) -> None:
    config = workers.write_config(tmp_path / "config", make_topology())
    scheme, _, rest = vhost_broker.amqp_url.partition("://")
    done = check(config, f"{scheme}://nobody:geheim@{rest.rpartition('@')[2]}", seconds=2)
    assert done.returncode == 1
    assert "ACCESS_REFUSED" in done.stderr
    assert "geheim" not in done.stderr


def test_a_broker_that_says_nothing_is_given_up(vhost_broker: Broker, tmp_path: Path) -> None:
    config = workers.write_config(tmp_path / "config", make_topology())
    with SilentProxy.to(vhost_broker.amqp_url) as proxy:
        proxy.answer(at_most=0)
        done = check(config, proxy.url, seconds=3)
    assert done.returncode == 1
    assert "the broker at 127.0.0.1:" in done.stderr
