"""Beat as the chart starts it, on a real broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import workers
from harness import processes
from harness.broker.server import Broker
from tests.local.worker_release import ReleaseUnderTest, eventually

pytestmark = pytest.mark.timeout(90)

APPLICATION = """
from celery import Celery
app = Celery("timed", broker="amqp://nobody:nothing@127.0.0.1:1//")
app.conf.beat_schedule = {"often": {"task": "report", "schedule": 0.2}}
"""


def make_topology() -> workers.Topology:
    return workers.make_topology(
        app="timed:app",
        classes={"io": workers.make_class("threads", 4, "main", "reports")},
        queues={name: workers.make_queue("io", dead_letter_queue=None) for name in ("main", "reports")},
        routes=[{"task": "report", "queue": "reports", "priority": 2}],
    )


def environment(release: ReleaseUnderTest, state: str) -> dict[str, str]:
    """The variables of the beat's container; its directory is the same for every one."""
    directory = release.directory / state
    directory.mkdir()
    return {
        **workers.base_environment(release.config, release.broker.amqp_url, python_path=(release.directory,)),
        "CELERY_WORKERS_APP": "timed:app",
        "CELERY_WORKERS_STATE_DIR": str(directory),
        "CELERY_WORKERS_BEAT_DIR": str(release.directory),
    }


def command(release: ReleaseUnderTest) -> list[str]:
    celery = str(Path(sys.executable).with_name("celery"))
    return [celery, "-A", "celery_workers_beat:app", "beat", f"--schedule={release.directory / 'schedule'}"]


def test_one_beat_sends_by_the_release_s_routes_and_shows_that_it_turns(vhost_broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "timed.py").write_text(APPLICATION)
    release = ReleaseUnderTest.install(vhost_broker, tmp_path, make_topology())
    settings = environment(release, "state")
    beat = processes.start(command(release), log=tmp_path / "beat.log", env=settings, cwd=tmp_path)
    try:
        assert eventually(lambda: release.depth("reports") >= 3), (tmp_path / "beat.log").read_text()
        probe = [sys.executable, str(release.config / "celery_workers_health.py"), "live"]
        assert (tmp_path / "state" / "heartbeat").exists()
        assert subprocess.run(probe, env=settings, timeout=30, check=False).returncode == 0
        second = environment(release, "state-of-second")
        done = subprocess.run(command(release), env=second, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert "another beat works with" in done.stderr
        assert beat.poll() is None
    finally:
        processes.stop(beat, grace_seconds=10)
    assert beat.returncode == 0
    after = command(release)
    again = processes.start(after, log=tmp_path / "again.log", env=settings, cwd=tmp_path)
    try:
        before = release.depth("reports")
        assert eventually(lambda: release.depth("reports") > before), (tmp_path / "again.log").read_text()
    finally:
        processes.stop(again, grace_seconds=10)
