"""`harness check-gevent` on the reference application and on one that blocks in every way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import processes
from harness.spike.services import stand_ins

ROOT = Path(__file__).parents[2]
CALL_SECONDS = 30
SLOW = {"latency_seconds": 0.5}  # five times what may hold the loop

SHOP = """
import time
import gevent.monkey
from celery import Celery

app = Celery("shop")
really_sleep = gevent.monkey.get_original("time", "sleep")


@app.task(name="waits")
def waits(seconds):
    time.sleep(seconds)


@app.task(name="sleeps_in_c")
def sleeps_in_c(seconds):
    really_sleep(seconds)


@app.task(name="spins")
def spins():
    while True:
        pass


@app.task(name="imports_once")
def imports_once(seen=[]):
    until = time.thread_time() + 0.4
    while not seen and time.thread_time() < until:
        pass
    seen.append(1)


@app.task(name="publishes")
def publishes():
    waits.delay(1)


@app.task(name="fails")
def fails():
    raise ValueError("no such customer")
"""


def check(
    app: str, calls: list[dict[str, Any]], directory: Path, *more: str, env: Mapping[str, str] | None = None
) -> Any:
    file = directory / "calls.yaml"
    file.write_text(json.dumps({"calls": calls}))
    command = [sys.executable, "-m", "harness", "check-gevent", app, "--calls", str(file), *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=90)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@pytest.fixture
def examx_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with stand_ins(tmp_path / "services", {"seed": 1, "judge0": SLOW, "smtp": SLOW, "storage": {}}) as services:
        yield services.secret()


def test_what_computes_blocks_and_what_asks_others_does_not(tmp_path: Path, examx_environment: dict[str, str]) -> None:
    calls: list[dict[str, Any]] = [
        {"task": "execute_student_code_task"},
        {"task": "forgot_password_mail"},
        {"task": "run_summary_metrics_task", "kwargs": {"resamples": 20_000}},
        {"task": "generate_order_copy_pdf_task", "kwargs": {"items": 2000}},
    ]
    done = check("examx", calls, tmp_path, "--json", env=examx_environment)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [(one["task"], one["verdict"]) for one in found["calls"]] == [
        ("execute_student_code_task", "ok"),
        ("forgot_password_mail", "ok"),
        ("run_summary_metrics_task", "blocks"),
        ("generate_order_copy_pdf_task", "blocks"),
    ]
    metrics, order = found["calls"][2:]
    assert metrics["task_frame"]["file"].endswith("examx/statistics.py")
    assert order["task_frame"]["function"] == "order_pdf"
    assert "reportlab" in order["call"]["file"]
    assert metrics["computes"]
    assert order["computes"]
    assert len(found["unchecked"]) == 21


def test_what_computes_is_found_where_the_monitor_has_no_turn(shop: Path) -> None:
    """A timer of CPU time looks at the call's own greenlet: on a busy machine the monitoring thread may never do."""
    program = f"""
import json, signal, sys
from pathlib import Path
from gevent import monkey
monkey.patch_all()
from harness.geventcheck import probe
watch = probe.Watch(threshold_seconds=0.1, events=probe.Events(Path("events.jsonl")))
signal.signal(signal.SIGPROF, watch.computes)
signal.setitimer(signal.ITIMER_PROF, 0.02, 0.02)
call = {{"task": "imports_once", "args": [], "kwargs": {{}}}}
found = probe.call_once(probe.find("shop"), call, watch, 0, limit_seconds={CALL_SECONDS})
signal.setitimer(signal.ITIMER_PROF, 0)
print(json.dumps(found))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=shop, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["seen"], found["error"]) == (False, "")
    assert found["stack"][-1][2] == "imports_once"


def test_a_wait_that_gevent_cannot_switch_is_told_from_computing(shop: Path) -> None:
    calls = [
        {"task": "sleeps_in_c", "args": [1.5]},
        {"task": "waits", "kwargs": {"seconds": 0.5}},
        {"task": "publishes"},
    ]
    done = check("shop", calls, shop)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "waiting for what gevent cannot switch" in done.stdout
    assert "shop.py:17 in sleeps_in_c: really_sleep(seconds)" in done.stdout
    assert "\nok      waits" in done.stdout
    assert "\nok      publishes" in done.stdout  # without a broker
    assert "unchecked, for want of a sample: fails, imports_once, spins" in done.stdout
    assert "3 calls, 1 of which" in done.stdout


def test_the_first_call_is_told_of_and_not_judged(shop: Path) -> None:
    done = check("shop", [{"task": "imports_once"}], shop, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    one = json.loads(done.stdout)["calls"][0]
    assert one["first_blocked_seconds"] > 0.3
    assert one["verdict"] == "ok"


@pytest.mark.full
def test_a_task_that_never_gives_the_loop_back_hangs_and_the_rest_is_checked(shop: Path) -> None:
    calls = [{"task": "spins"}, {"task": "fails"}, {"task": "waits", "args": [0.01]}]
    done = check("shop", calls, shop, "--call-seconds", "1")
    assert done.returncode == 1, done.stderr
    assert "hangs   spins  never gave the loop back" in done.stdout
    assert "in spins: " in done.stdout
    assert "ValueError: no such customer" in done.stdout
    assert "ok      waits" in done.stdout


def test_one_that_is_asked_to_end_in_a_call_leaves_nothing(shop: Path) -> None:
    (shop / "calls.yaml").write_text(json.dumps({"calls": [{"task": "spins"}]}))
    (shop / "temporary").mkdir()
    command = [sys.executable, "-m", "harness", "check-gevent", "shop", "--calls", "calls.yaml", "--call-seconds", "60"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(shop / "temporary")}
    with subprocess.Popen(command, cwd=shop, env=environment, stderr=subprocess.PIPE, text=True) as process:

        def in_a_call() -> bool:
            return any("begins" in file.read_text() for file in shop.glob("temporary/*/events.jsonl"))

        processes.wait_until(in_a_call, timeout_seconds=60, what="the call", process=process)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert list((shop / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("app", "task", "message"),
    [
        ("shop", "wait", "shop has no task 'wait' (did you mean 'waits'?)"),
        ("shoop", "waits", "shoop cannot be checked: ModuleNotFoundError"),
    ],
)
def test_bad_input_is_refused(app: str, task: str, message: str, shop: Path) -> None:
    done = check(app, [{"task": task}], shop)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
