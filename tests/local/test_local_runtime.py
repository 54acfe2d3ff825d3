"""The local runtime with real, tiny processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.broker.stats import QueueStats
from harness.errors import HarnessError, InputError
from harness.hpa.replaying import replay_run
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime, metrics
from tests.local.runtime_manifests import BUSY, WORKER, deployment, hpa, job, scaled_object

pytestmark = pytest.mark.timeout(60)

Make = Callable[..., LocalRuntime]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[LocalRuntime] = []

    def runtime(**options: Any) -> LocalRuntime:
        settings: dict[str, Any] = {
            "directory": tmp_path / "run",
            "queue_source": dict,
            "back_off_seconds": 0.4,
            "stop_grace_seconds": 3.0,
        }
        made.append(LocalRuntime(**{**settings, **options}))
        return made[-1]

    yield runtime
    for each in made:
        each.uninstall()


def release(*manifests: dict[str, Any], secrets: dict[str, dict[str, str]] | None = None) -> Release:
    return Release(name="r", namespace="default", manifests=manifests, secrets=secrets or {})


def tick_until(runtime: LocalRuntime, condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, [(e.kind, e.subject, e.message) for e in runtime.events()]
        runtime.tick()
        time.sleep(0.02)


def kinds(runtime: LocalRuntime) -> list[str]:
    return [event.kind for event in runtime.events()]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie nobody has waited for does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def child_pids(runtime: LocalRuntime) -> list[int]:
    found = []
    for pod in runtime.pods():
        match = re.search(r"child (\d+)", runtime.logs(pod.name).read_text())
        assert match
        found.append(int(match[1]))
    return found


def processes_of(directory: Path) -> list[int]:
    """Return the processes that were told about this directory in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"HOME={directory}".encode() in environment and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def test_pods_start_become_ready_and_are_gone_after_uninstall(make: Make) -> None:
    runtime = make()
    runtime.install(release(deployment(replicas=2)))
    assert [scale.ready for scale in runtime.scales()] == [0]
    runtime.wait_ready(timeout_seconds=15)
    pods = runtime.pods()
    assert len(pods) == 2
    assert all(re.fullmatch(r"web-\w{9}-\w{5}", pod.name) and pod.ready and pod.ready_at for pod in pods)
    children = child_pids(runtime)
    assert all(alive(pid) for pid in children)
    runtime.uninstall()
    assert runtime.pods() == []
    assert not any(alive(pid) for pid in children)
    runtime.uninstall()


def test_a_container_sees_its_config_map_secret_fields_and_nothing_of_the_caller(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "me")
    script = "cat $DIR/app.conf; echo; echo $NAME $URL $0; env; python -c 'import sys, examx; print(sys.executable)'"
    manifest = deployment(
        command=["sh", "-c", f"{script}; touch /run/state/ready; exec sleep 600"],
        args=["arg-$(NAME)"],
        env=[
            {"name": "DIR", "value": "/etc/app"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "broker", "key": "amqpUrl"}}},
        ],
    )
    pod = manifest["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "conf", "configMap": {"name": "conf"}})
    pod["containers"][0]["volumeMounts"].append({"name": "conf", "mountPath": "/etc/app"})
    config = {"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"app.conf": "hello"}}
    runtime = make()
    runtime.install(release(config, manifest, secrets={"broker": {"amqpUrl": "amqp://here/tmp"}}))
    runtime.wait_ready(timeout_seconds=15)
    name = runtime.pods()[0].name
    output = runtime.logs(name).read_text()
    assert "hello" in output
    assert f"{name} amqp://here/tmp arg-{name}" in output
    assert "LEAK" not in output
    assert output.rstrip().splitlines()[-1].startswith(str(Path(sys.executable).parent))


MANAGER = """
import multiprocessing, os, pathlib, tempfile, time
import multiprocessing.util
manager = multiprocessing.Manager()  # listens on a socket in the temporary directory
print(tempfile.gettempdir(), multiprocessing.util.get_temp_dir(), flush=True)
pathlib.Path(os.environ["STATE"], "ready").touch()
time.sleep(600)
"""


def test_sockets_fit_into_the_temporary_directory_and_a_killed_worker_leaves_nothing_there(
    make: Make, tmp_path: Path
) -> None:
    runtime = make(directory=tmp_path / "a-run-with-a-long-name" / "and-a-place-that-is-longer-still-than-that")
    runtime.install(release(deployment(command=["python", "-c", MANAGER])))
    runtime.wait_ready(timeout_seconds=15)
    pod = runtime.pods()[0].name
    named, used = map(Path, runtime.logs(pod).read_text().split())
    real = used.resolve()
    assert real.is_relative_to(tmp_path)
    assert real.is_dir()
    runtime.kill(pod, signal.SIGKILL)
    tick_until(runtime, lambda: "exited" in kinds(runtime))
    runtime.uninstall()
    assert not real.exists()
    assert not named.is_symlink()
    assert not named.parent.exists()


def test_a_failing_liveness_probe_restarts_the_container(make: Make) -> None:
    runtime = make()
    live = {"exec": {"command": ["test", "-f", "/run/state/alive"]}, "periodSeconds": 1, "failureThreshold": 2}
    script = (
        "touch /run/state/ready; [ -f /run/state/once ] && touch /run/state/alive; touch /run/state/once; sleep 600"
    )
    runtime.install(release(deployment(command=["sh", "-c", script], livenessProbe=live, grace=2)))
    tick_until(runtime, lambda: bool(runtime.pods()) and runtime.pods()[0].restarts == 1)
    assert "unhealthy" in kinds(runtime)
    runtime.wait_ready(timeout_seconds=10)
    assert runtime.pods()[0].restarts == 1


def test_a_startup_probe_holds_the_others_back(make: Make) -> None:
    runtime = make()
    startup = {"exec": {"command": ["test", "-f", "/run/state/up"]}, "periodSeconds": 1, "failureThreshold": 30}
    script = "touch /run/state/ready; sleep 1.5; touch /run/state/up; exec sleep 600"
    never = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 100}
    runtime.install(release(deployment(command=["sh", "-c", script], startupProbe=startup, livenessProbe=never)))
    began = time.monotonic()
    runtime.wait_ready(timeout_seconds=15)
    assert time.monotonic() - began > 1.0
    assert kinds(runtime).index("started") < kinds(runtime).index("ready")


def test_a_container_that_ends_is_restarted_with_back_off(make: Make) -> None:
    runtime = make(back_off_seconds=0.5)
    runtime.install(release(deployment(command=["sh", "-c", "echo again; exit 3"])))
    tick_until(runtime, lambda: runtime.pods()[0].restarts == 3)
    exits = [event for event in runtime.events() if event.kind == "exited"]
    assert "exit code 3" in exits[0].message
    assert "back-off" not in exits[0].message
    assert "back-off 0.5 s" in exits[1].message
    assert "back-off 1 s" in exits[2].message
    assert runtime.logs(runtime.pods()[0].name).read_text() == "again\n" * 4


def test_waiting_for_a_worker_that_keeps_ending_stops_early_and_shows_its_log(make: Make) -> None:
    runtime = make(back_off_seconds=0.1)
    runtime.install(release(deployment(command=["sh", "-c", "echo no module named app; exit 3"])))
    began = time.monotonic()
    with pytest.raises(HarnessError, match="a worker keeps ending") as caught:
        runtime.wait_ready(timeout_seconds=30)
    assert time.monotonic() - began < 25
    assert "web: 0 of 1 ready" in str(caught.value)
    assert str(caught.value).endswith("no module named app")


def test_waiting_has_a_limit_and_says_what_was_missing(make: Make) -> None:
    runtime = make()
    runtime.install(release(deployment(command=["sleep", "600"], grace=1)))
    with pytest.raises(HarnessError, match=r"not ready after 1\.2 s:\n  web: 0 of 1 ready\n .* readiness probe"):
        runtime.wait_ready(timeout_seconds=1.2)


def test_kill_ends_the_main_process_and_its_children_and_it_comes_back(make: Make) -> None:
    runtime = make()
    runtime.install(release(deployment()))
    runtime.wait_ready(timeout_seconds=15)
    (child,) = child_pids(runtime)
    runtime.kill(runtime.pods()[0].name, signal.SIGKILL)
    tick_until(runtime, lambda: runtime.pods()[0].restarts == 1)
    assert not alive(child)
    exited = next(event for event in runtime.events() if event.kind == "exited")
    assert "killed by SIGKILL" in exited.message
    runtime.wait_ready(timeout_seconds=15)
    with pytest.raises(InputError, match="no pod nobody"):
        runtime.kill("nobody", signal.SIGKILL)


def test_scale_down_lets_a_pod_finish_within_its_grace(make: Make) -> None:
    runtime = make()
    env = [{"name": "STATE", "value": "/run/state"}, {"name": "STOP_SECONDS", "value": "1"}]
    runtime.install(release(deployment(replicas=1, env=env)))
    runtime.wait_ready(timeout_seconds=15)
    runtime.scale("web", 3)
    runtime.wait_ready(timeout_seconds=15)
    oldest = min(runtime.pods(), key=lambda pod: pod.started_at)
    runtime.scale("web", 1)
    assert sorted(pod.phase for pod in runtime.pods()) == ["Running", "Terminating", "Terminating"]
    assert next(scale.running for scale in runtime.scales()) == 1
    stopping = [pod.name for pod in runtime.pods() if pod.phase == "Terminating"]
    began = time.monotonic()
    tick_until(runtime, lambda: len(runtime.pods()) == 1)
    assert time.monotonic() - began > 0.9
    assert all("stopping" in runtime.logs(name).read_text() for name in stopping)
    assert not any((runtime.logs(name).parent / "volumes").exists() for name in stopping)
    assert oldest.deployment == "web"
    steps = [(event.before, event.after, event.reason) for event in runtime.scale_events()]
    assert steps == [(1, 3, "scaled by hand"), (3, 1, "scaled by hand")]


def test_a_pod_that_does_not_stop_is_killed_after_its_grace(make: Make) -> None:
    runtime = make()
    script = WORKER.replace("sys.exit(0)", "time.sleep(600)")
    runtime.install(release(deployment(command=["python", "-c", script], grace=2)))
    runtime.wait_ready(timeout_seconds=15)
    (child,) = child_pids(runtime)
    runtime.scale("web", 0)
    began = time.monotonic()
    tick_until(runtime, lambda: runtime.pods() == [])
    assert 1.9 < time.monotonic() - began < 10
    assert not alive(child)


def test_a_pre_stop_hook_runs_before_the_signal(make: Make) -> None:
    runtime = make()
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "touch /run/state/hook; sleep 0.5"]}}}
    script = WORKER.replace('print("stopping"', 'print("hook was", (state / "hook").exists()')
    runtime.install(release(deployment(command=["python", "-c", script], lifecycle=hook)))
    runtime.wait_ready(timeout_seconds=15)
    name = runtime.pods()[0].name
    runtime.scale("web", 0)
    began = time.monotonic()
    tick_until(runtime, lambda: runtime.pods() == [])
    assert time.monotonic() - began > 0.4
    assert "hook was True" in runtime.logs(name).read_text()


def test_jobs_run_beside_the_deployments_and_install_waits_for_them(make: Make) -> None:
    runtime = make()
    runtime.install(release(job("sleep 0.5; echo done"), deployment()))
    assert any(event.subject.startswith("setup-") and event.kind == "ended" for event in runtime.events())
    assert len(runtime.pods()) == 1


@pytest.mark.parametrize("restart", ["Never", "OnFailure"])
def test_a_job_is_tried_again_up_to_its_limit(make: Make, tmp_path: Path, restart: str) -> None:
    runtime = make(back_off_seconds=0.1)
    count = tmp_path / "count"
    script = f"echo try >> {count}; [ $(wc -l < {count}) -ge 3 ]"
    runtime.install(release(job(script, backoff_limit=4, restart=restart)))
    assert count.read_text() == "try\n" * 3


@pytest.mark.parametrize("restart", ["Never", "OnFailure"])
def test_a_job_that_fails_says_so_with_the_end_of_its_log(make: Make, tmp_path: Path, restart: str) -> None:
    runtime = make(back_off_seconds=0.1)
    count = tmp_path / "count"
    with pytest.raises(HarnessError, match=r"Job setup failed: it failed 2 times \(backoffLimit 1\)") as caught:
        runtime.install(release(job(f"echo x >> {count}; echo no broker; exit 1", backoff_limit=1, restart=restart)))
    assert str(caught.value).endswith("no broker")
    assert count.read_text() == "x\n" * 2


def test_a_job_that_hangs_is_ended(make: Make, tmp_path: Path) -> None:
    runtime = make(job_timeout_seconds=0.5)
    with pytest.raises(HarnessError, match=r"did not end within 0\.5 s"):
        runtime.install(release(job("echo waiting; sleep 600")))
    runtime.uninstall()
    assert processes_of(tmp_path) == []


def test_what_cannot_be_honoured_is_refused_before_anything_starts(make: Make, tmp_path: Path) -> None:
    runtime = make()
    broken = deployment("late", env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}])
    with pytest.raises(InputError, match="Secret none"):
        runtime.install(release(deployment(), broken))
    assert runtime.pods() == []
    assert not (tmp_path / "run" / "pods").exists()


def test_a_program_this_machine_does_not_have_is_named(make: Make) -> None:
    runtime = make()
    with pytest.raises(HarnessError, match="this machine has no no-such-program"):
        runtime.install(release(deployment(command=["no-such-program"])))


def test_the_rendered_hpa_scales_on_measured_cpu(make: Make, tmp_path: Path) -> None:
    runtime = make(sync_seconds=1.0, metrics_seconds=1.0)
    busy = deployment(replicas=None, command=["python", "-c", BUSY], readinessProbe=None, grace=1)
    runtime.install(release(busy, hpa(maximum=3)))
    tick_until(runtime, lambda: runtime.scales()[0].desired == 3, seconds=20)
    first = runtime.scale_events()[0]
    assert (first.before, first.deployment) == (1, "web")
    assert "cpu" in first.reason
    usage = [pod.cpu_cores for pod in runtime.pods() if pod.cpu_cores is not None]
    assert usage
    assert max(usage) > 0.2
    lines = [json.loads(line) for line in (tmp_path / "run" / "autoscaling.jsonl").read_text().splitlines()]
    assert {"t", "replicas", "pods", "external", "unavailable", "desired", "reason"} <= set(lines[0])
    decided = next(line for line in lines if line["desired"] > 1)
    assert decided["replicas"] == {"spec": 1, "status": 1}
    assert decided["pods"][0]["requests"]["cpu"] == "200m"
    assert decided["pods"][0]["usage"]["cpu"].endswith("m")


def depth(messages: int) -> dict[str, QueueStats]:
    return {"io": QueueStats("io", messages, 0, 1, 0.0, 0.0, 0.0)}


def test_a_scaled_object_scales_on_depth_within_the_rendered_policy(make: Make) -> None:
    messages = 0
    runtime = make(sync_seconds=0.5, queue_source=lambda: depth(messages))
    runtime.install(release(deployment(replicas=None), scaled_object()))
    runtime.wait_ready(timeout_seconds=15)
    assert runtime.scale_events() == []
    messages = 5200
    tick_until(runtime, lambda: len(runtime.scale_events()) == 1)
    event = runtime.scale_events()[0]
    assert (event.before, event.after) == (1, 4)
    assert "s0-rabbitmq-io" in event.reason
    assert "5,200" in event.reason


def test_a_run_s_record_is_enough_to_decide_again(make: Make, tmp_path: Path) -> None:
    messages = 5200
    runtime = make(sync_seconds=0.5, metrics_seconds=1.0, queue_source=lambda: depth(messages))
    runtime.install(release(deployment(replicas=None, grace=1), scaled_object()))
    tick_until(runtime, lambda: runtime.scales()[0].desired == 4)
    runtime.documents.patch("ScaledObject", "web", {"spec": {"minReplicaCount": 6}})
    tick_until(runtime, lambda: runtime.scales()[0].desired == 6)
    messages = 0
    tick_until(runtime, lambda: kinds(runtime).count("ready") >= 6)
    runtime.tick()
    again = list(replay_run(tmp_path / "run", name=None, flags={}))
    assert [one.decision.desired for one in again] == [one.recorded for one in again]
    assert {1, 4, 6} >= {one.decision.current for one in again} >= {1, 4}


def test_keda_takes_the_last_pod_away_and_brings_it_back(make: Make) -> None:
    messages = 0
    runtime = make(sync_seconds=0.5, queue_source=lambda: depth(messages))
    runtime.install(release(deployment(replicas=None, grace=2), scaled_object(minimum=0)))
    tick_until(runtime, lambda: runtime.scales()[0].desired == 0)
    messages = 1
    tick_until(runtime, lambda: runtime.scales()[0].ready == 1)
    assert [event.reason.startswith("KEDA") for event in runtime.scale_events()] == [True, True]


def test_a_queue_source_that_fails_holds_the_replicas(make: Make, tmp_path: Path) -> None:
    def broken() -> dict[str, QueueStats]:
        raise ConnectionError("no broker")

    runtime = make(sync_seconds=0.3, queue_source=broken)
    runtime.install(release(deployment(replicas=2), scaled_object()))
    tick_until(runtime, lambda: kinds(runtime).count("metrics") >= 3)
    assert runtime.scales()[0].desired == 2
    last = json.loads((tmp_path / "run" / "autoscaling.jsonl").read_text().splitlines()[-1])
    assert last["unavailable"] == ["s0-rabbitmq-io"]
    assert "ConnectionError: no broker" in next(e.message for e in runtime.events() if e.kind == "metrics")


def test_minimum_replicas_come_up_and_ready_waits_for_them(make: Make) -> None:
    runtime = make()
    runtime.install(release(deployment(replicas=None), hpa(minimum=2)))
    runtime.wait_ready(timeout_seconds=15)
    state = runtime.scales()[0]
    assert (state.ready, state.minimum, state.maximum) == (2, 2, 3)


def test_however_many_pods_the_process_table_is_read_once_a_metrics_period(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    read = metrics.sessions

    def sessions(pids: Iterator[int]) -> dict[int, metrics.Consumption]:
        looks.append(time.monotonic())
        return read(pids)

    monkeypatch.setattr(metrics, "sessions", sessions)
    runtime = make(metrics_seconds=1.0)
    command = ["sh", "-c", "touch /run/state/ready; exec sleep 600"]
    runtime.install(release(deployment(replicas=10, command=command, grace=1)))
    runtime.wait_ready(timeout_seconds=30)
    looks.clear()
    began = time.monotonic()
    while time.monotonic() - began < 3:
        runtime.tick()
    assert 1 <= len(looks) <= time.monotonic() - began + 1


PARENT = """
import sys, time
from pathlib import Path
from harness.runtime.base import Release
from harness.runtime.local import LocalRuntime
from tests.local.runtime_manifests import deployment
runtime = LocalRuntime(directory=Path(sys.argv[1]), queue_source=dict)
runtime.install(Release("r", "default", [deployment(replicas=2)], {}))
runtime.wait_ready(timeout_seconds=20)
print("ready", flush=True)
while True:
    runtime.tick()
    time.sleep(0.1)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_harness_that_is_killed(tmp_path: Path, death: signal.Signals) -> None:
    checkout = Path(__file__).parent.parent.parent
    (tmp_path / "temporary").mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "TMPDIR": str(tmp_path / "temporary")},
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        assert len(processes_of(tmp_path)) >= 4  # two workers, each with its child
        parent.send_signal(death)
        parent.wait(timeout=10)
        deadline = time.monotonic() + 10
        while processes_of(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout:
            parent.stdout.close()
