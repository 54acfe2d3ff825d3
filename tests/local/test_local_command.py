"""`harness local` and `harness ops status --watch` as a person types them, each in a terminal of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from harness import processes, tools
from harness.broker.server import Broker
from harness.chart import yaml_strict
from harness.services.redis import Redis
from tests.local.test_ops_workers import CLASS

pytestmark = pytest.mark.timeout(240)

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
# With the release's configuration alone, as the printed next steps say.
PUBLISH = """
from celery import Celery
app = Celery("publisher")
app.config_from_object("celeryconfig")
app.send_task("note", args=["hello"])
"""


@dataclass
class Terminal:
    """A command on a terminal of its own: what came `before` the words it was last asked to show, `seen` after them."""

    process: subprocess.Popen[bytes]
    screen: int
    seen: str = ""
    before: str = ""

    @classmethod
    @contextlib.contextmanager
    def of(cls, *arguments: str, environment: Mapping[str, str]) -> Iterator[Terminal]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "harness", *arguments]
        process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm", "COLUMNS": "150", "LINES": "50"},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        try:
            yield cls(process, ours)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            os.close(ours)

    def shows(self, words: str, *, seconds: float = ANSWER_SECONDS) -> bool:
        """Whether the words come within the time, after what was asked for last."""
        deadline = time.monotonic() + seconds
        while words not in self.seen:
            if not self._read(deadline):
                return False
        self.before, _, self.seen = self.seen.partition(words)
        return True

    def _read(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.screen], [], [], left)[0]:
            return False
        try:
            data = os.read(self.screen, 65536)
        except OSError:  # the last process of the terminal has ended
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def interrupt(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._read(deadline):  # so that it is not held up by a full screen
            pass
        return self.process.wait(ANSWER_SECONDS)


@dataclass(frozen=True)
class Machine:
    """What `harness local` is started with."""

    name: str
    values: Path
    temporary: Path
    environment: Mapping[str, str]

    def local(self, *more: str) -> contextlib.AbstractContextManager[Terminal]:
        arguments = ("--name", self.name, "--set", f"redis.keyPrefix={self.name}", "-f", str(self.values))
        return Terminal.of("local", *arguments, *more, environment=self.environment)

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def notes(self) -> list[Path]:
        """What the tasks wrote: below the release's directory, where each pod has a /tmp of its own."""
        return list(self.temporary.glob("celery-workers-local-*/**/volumes/tmp/notes.txt"))

    @property
    def run_files(self) -> list[Path]:
        return list(self.temporary.glob("cache/**/runs/*.json"))


@pytest.fixture
def machine(vhost_broker: Broker, redis: Redis, tmp_path: Path) -> Machine:
    """A small release on the session's broker and Redis, with a cache and temporary files of its own."""
    values = tmp_path / "values.yaml"
    document = {
        "app": "tests.local.ops_app",
        "image": {"repository": "notes", "tag": "1"},
        "env": [{"name": "NOTES_FILE", "value": "/tmp/notes.txt"}],
        "envFrom": [],
        "defaultQueue": "notes",
        "routes": [],
        "environment": "prod",
        "workers": {"io": None, "cpu": None, "mixed": None, "notes": CLASS},
    }
    values.write_text(yaml_strict.dump_all([document]))
    environment = {
        **os.environ,
        "BROKER_URL": vhost_broker.amqp_url,
        "BROKER_MANAGEMENT_URL": vhost_broker.management_url,
        "REDIS_URL": redis.url,
        "HELM": str(tools.find_helm()),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("KUBECONFIG", None)
    return Machine(f"local-{secrets.token_hex(3)}", values, tmp_path, environment)


def left_behind(machine: Machine, family: list[psutil.Process]) -> list[object]:
    """What an ended `harness local` should not leave: processes, its run's file, its temporary directory."""
    _, alive = psutil.wait_procs(family, timeout=20)
    return [*alive, *machine.run_files, *machine.temporary.glob("celery-workers-local-*")]


def test_a_release_runs_takes_tasks_and_is_watched_until_ctrl_c(machine: Machine) -> None:
    with machine.local("--json") as local:
        assert local.shows("\n", seconds=START_SECONDS)
        answer = json.loads(local.before)
        assert answer["name"] == machine.name
        assert machine.run_files == [Path(answer["run_file"])]
        url = json.loads(Path(answer["run_file"]).read_text())["amqp_url"]
        publisher = {"CELERY_BROKER_URL": url, "PYTHONPATH": f"{answer['configuration']}:{ROOT}"}
        machine.run("-c", PUBLISH, environment=publisher)
        processes.wait_until(lambda: bool(machine.notes), timeout_seconds=ANSWER_SECONDS, what="the task's note")
        assert machine.notes[0].read_text().startswith("hello ")
        _watch(machine)
        family = psutil.Process(local.process.pid).children(recursive=True)
        assert family
        assert local.interrupt() == 0
    assert left_behind(machine, family) == []


def _watch(machine: Machine) -> None:
    with Terminal.of("ops", "status", "--watch", environment=machine.environment) as watch:
        assert watch.shows(f"local run {machine.name}"), watch.seen
        assert watch.shows("no overrides")
        machine.run("-m", "harness", "ops", "pause", "notes")
        assert watch.shows("pause notes")
        machine.run("-m", "harness", "ops", "resume", "notes")
        assert watch.shows("no overrides")
        assert watch.interrupt() == 130
        assert "Traceback" not in watch.seen


@pytest.mark.full
def test_an_interrupt_while_it_starts_leaves_nothing(machine: Machine) -> None:
    with machine.local() as local:
        assert local.shows("waiting for the workers", seconds=START_SECONDS), local.seen
        family = psutil.Process(local.process.pid).children(recursive=True)
        assert local.interrupt() == 130
        assert "Traceback" not in local.seen
    assert left_behind(machine, family) == []


def test_values_that_are_refused_start_nothing(machine: Machine) -> None:
    with machine.local("--set", "workers.notes.pool=fibers") as local:
        assert local.shows("workers.notes.pool"), local.seen
        assert local.process.wait(ANSWER_SECONDS) == 2
    assert machine.run_files == []
