"""A spike run through the command line, as a user starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness import processes
from tests.commands import harness

ROOT = Path(__file__).resolve().parents[2]
RUN_TIMEOUT_SECONDS = 150
SCENARIO = """
name: small
title: A few tasks of every class
description: Eighty tasks of three classes, spread over ten seconds.
limit_seconds: 100
seed: 7
services:
  smtp: {latency_seconds: 2}
  ai: {latency_seconds: 1}
  storage: {latency_seconds: 0.2}
  wait: {latency_seconds: 0.2}
tasks:
  - {task: forgot_password_mail, share: 5, service_seconds: 2.0, cpu_seconds: 0.003}
  - {task: generate_ai_content_task, share: 1, service_seconds: 1.1, cpu_seconds: 0.004}
  - {task: generate_question_paper_pdfs, share: 1, service_seconds: 0.4, cpu_seconds: 0.02}
  - {task: check_db_connections, share: 1, service_seconds: 0.3, cpu_seconds: 0.003}
phases:
  - {name: all, count: 80, seconds: 10}
publisher: {deadline_seconds: 30, cpu_seconds: 0.001, backoff: {}}
objectives:
  - {name: lost, max: 0}
  - {name: refused_finally, max: 0}
"""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "harness", "spike", *map(str, arguments)]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO)
    return path


def _as_at_a_terminal() -> None:
    """Undo what a test runner started in the background passes on: a shell has such programs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `harness spike`; whatever is still running at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "temporary").mkdir()

    def begin(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments, "--reports", "reports"),
            cwd=tmp_path,  # a relative path must do
            env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_as_at_a_terminal,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((processes.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def find_worker(process: subprocess.Popen[str], worker_class: str) -> psutil.Process | None:
    """Return the main process of a class's pod: the one whose parent is the harness itself."""
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has just ended
            if any(argument.startswith(f"--hostname={worker_class}@") for argument in child.cmdline()):
                return child
    return None


@pytest.mark.full
@pytest.mark.timeout(240)
def test_a_worker_killed_in_the_middle_loses_nothing(
    scenario: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(scenario, "--env", "prod")

    def load_began() -> bool:
        journals = list(tmp_path.glob("reports/.*.partial/journals/publisher-*.jsonl"))
        return any('"accepted"' in path.read_text() for path in journals)

    processes.wait_until(load_began, timeout_seconds=90, what="the first accepted task")
    time.sleep(3)
    worker = find_worker(process, "io")
    assert worker is not None
    worker.kill()
    output, errors = process.communicate(timeout=RUN_TIMEOUT_SECONDS)
    assert process.returncode == 0, output + errors
    result = json.loads((tmp_path / "reports" / "latest" / "result.json").read_text())
    assert result["offered"] == result["accepted"] == result["completed"] == 80
    assert result["lost"] == result["in_flight"] == 0
    assert result["duplicates"].get("row", 0) == result["duplicates"].get("file", 0) == 0
    assert any(event["kind"] in {"exited", "restarted"} for event in result["events"])
    assert set(result["timeline"]["queues"]) == {"io", "cpu", "mixed"}
    assert "None was lost" in output
    assert "report" in output


@pytest.mark.timeout(120)
def test_an_interrupt_leaves_nothing_running_and_nothing_half_written(
    scenario: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (tmp_path / "two-pods.yaml").write_text("workers: {io: {replicas: {max: 2}}}\n")
    process = start(scenario, "--env", "prod", "-f", "two-pods.yaml")
    processes.wait_until(
        lambda: find_worker(process, "io") is not None, timeout_seconds=60, what="a worker of the interrupted run"
    )
    family = children(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)  # an impatient user must not leave anything behind either
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert list((tmp_path / "reports").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.full
@pytest.mark.timeout(120)
def test_a_killed_harness_takes_its_processes_with_it(
    scenario: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    process = start(scenario, "--env", "prod")
    processes.wait_until(
        lambda: find_worker(process, "cpu") is not None, timeout_seconds=60, what="a worker of the killed run"
    )
    family = children(process)
    process.kill()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def shell(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return harness("spike", *arguments)


def refused(*arguments: str | Path, run: Callable[..., subprocess.CompletedProcess[str]] = here) -> str:
    done = run(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    return done.stderr


def test_an_unknown_scenario_is_refused_with_a_near_one(tmp_path: Path) -> None:
    assert "email-campaign" in refused("email-campain", "--reports", tmp_path)


def test_an_unknown_environment_is_refused(tmp_path: Path) -> None:
    assert "prod" in refused("email-campaign", "--env", "prdo", "--reports", tmp_path)


def test_a_broker_that_is_not_there_is_refused(scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", f"amqp://user:secret-word@127.0.0.1:{processes.free_port()}//")
    message = refused(scenario, "--reports", tmp_path, run=shell)
    assert "BROKER_URL" in message
    assert "secret-word" not in message
    assert list(tmp_path.iterdir()) == [scenario]


def test_a_folder_that_cannot_be_written_is_refused(scenario: Path) -> None:
    assert "--reports" in refused(scenario, "--reports", scenario)


def test_a_port_for_a_broker_that_is_given_is_refused(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://guest:guest@127.0.0.1//")
    assert "unset one" in refused(scenario, "--broker-port", "5672", "--reports", tmp_path)


def test_a_port_that_is_taken_is_refused(scenario: Path, tmp_path: Path, taken_port: int) -> None:
    message = refused(scenario, "--broker-port", str(taken_port), "--reports", tmp_path)
    assert f"--broker-port {taken_port}: the port is taken" in message


def test_a_duplicate_key_is_refused_with_its_line(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text(SCENARIO + "seed: 8\n")
    message = refused(scenario, "--reports", tmp_path)
    assert "seed" in message
    assert "small.yaml" in message


def test_a_scenario_that_does_not_fit_the_machine_is_refused(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text(SCENARIO.replace("count: 80, seconds: 10", "count: 80000, seconds: 10"))
    assert "cores" in refused(scenario, "--reports", tmp_path)


def test_the_scenarios_are_listed() -> None:
    done = here("--list")
    assert done.returncode == 0
    assert "email-campaign" in done.stdout
    assert "email-campaign" in json.loads(here("--list", "--json").stdout)
