"""Prometheus on a cluster: its operator's objects as the cluster takes them, and an alert that fires and clears."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import tools
from harness.chart.render import render
from harness.cluster import fixture
from harness.cluster.forward import port_forward
from harness.errors import HarnessError
from harness.monitoring import prometheus
from harness.monitoring.configuration import Target
from harness.monitoring.prometheus import Client, Prometheus
from tests.cluster.place import Place
from tests.cluster.results import Note
from tests.cluster.space import RELEASE, Space, eventually

GROUP = "monitoring.coreos.com"
DEFINITIONS = "example/prometheus-operator-crd"
KINDS = {"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"}
WATCHED = "prod,keda,kind,monitoring"
ALERT, TASK, TASKS, LIMIT = "QueueFilling", "forgot_password_mail", 400, 500
# Few slots, so that a burst waits; and short times, since only where they are is of the values, not how they work.
SPIKE = {
    "monitoring": {
        "rabbitmq": {"enabled": True, "selector": {"app.kubernetes.io/name": fixture.NAME}},
        "prometheusRule": {"enabled": True, "interval": "2s"},
        "alerts": {"queueFilling": {"for": "4s"}},
    },
    "routes": [],
    "workers": {
        "cpu": None,
        "mixed": None,
        "io": {
            "concurrency": 10,
            "replicas": {"max": 2},
            "targets": {"cpuUtilization": None, "memoryUtilization": None},
            "queues": {"io": {"maxLength": LIMIT}},
        },
    },
}
KEDA_SERVICE, KEDA_METRICS_PORT = "service/keda-operator", 8080
WORK_SECONDS = 3.0
COMMAND_SECONDS = 60.0


@pytest.fixture
def operator_kinds(place: Place) -> None:
    """The kinds of Prometheus' operator: on our kind cluster from the pinned module, else those the cluster has."""
    if place.is_own_kind:
        home = tools.module_directory(tools.TOOLS["prometheus-operator"]) / DEFINITIONS
        for plural in KINDS:
            place.kubectl.apply_text((home / f"{GROUP}_{plural}.yaml").read_text(), doing=f"defining {plural}")
    names = [f"customresourcedefinition/{plural}.{GROUP}" for plural in KINDS]
    try:
        place.kubectl.run(
            "wait", "--for=condition=Established", *names, "--timeout=30s", doing="waiting for the operator's kinds"
        )
    except HarnessError:
        if place.is_own_kind:
            raise
        pytest.skip("this cluster has no Prometheus operator")


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything that was wanted is there, beside what the API server filled in."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found or ()) == len(wanted) and all(map(holds, found or (), wanted))
    return bool(found == wanted)


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("operator_kinds")
def test_the_operators_objects_are_taken_and_kept_whole(space: Space, record_property: Note) -> None:
    files = space.value_files(WATCHED, {"monitoring": SPIKE["monitoring"]}, alone=True)
    objects = [one for one in render(files, namespace=space.name) if one["apiVersion"].startswith(GROUP)]
    assert sorted(one["kind"] for one in objects) == ["PodMonitor", "PodMonitor", "PrometheusRule"]
    space.kubectl.apply(objects, doing="applying the operator's objects")
    for one in objects:
        found = space.get(f"{one['kind']}.{GROUP}".lower(), one["metadata"]["name"])
        assert holds(found["spec"], one["spec"]), f"{one['kind']} is not kept whole: {found['spec']}"
    [monitor, *_] = (one for one in objects if one["kind"] == "PodMonitor")
    wrong = {**monitor, "spec": {**monitor["spec"], "podMetricsEndpoint": []}}
    with pytest.raises(HarnessError, match="podMetricsEndpoint"):
        space.kubectl.apply([wrong], doing="applying an object with a key that the kind does not have")
    record_property("objects", len(objects))


@contextlib.contextmanager
def watching(space: Space, directory: Path) -> Iterator[Prometheus]:
    """Run a Prometheus on this machine with the rules that the cluster has, and what the PodMonitors name to scrape."""
    rules = directory / "rules.yaml"
    [installed] = space.get(f"prometheusrule.{GROUP}")["items"]
    rules.write_text(json.dumps({"groups": installed["spec"]["groups"]}))
    labels = {"namespace": space.name, "release": RELEASE}
    with contextlib.ExitStack() as stack:
        targets = []
        for monitor in space.get(f"podmonitor.{GROUP}")["items"]:
            [endpoint] = monitor["spec"]["podMetricsEndpoints"]
            pod, port = _scraped_pod(space, monitor["spec"]["selector"]["matchLabels"], endpoint["port"])
            local = stack.enter_context(
                port_forward(space.kubectl, namespace=space.name, target=pod, port=port, directory=directory)
            )
            targets.append(Target(monitor["metadata"]["name"], _address(local, endpoint), labels))
        if space.place.is_own_kind:
            local = stack.enter_context(
                port_forward(
                    space.kubectl, namespace="keda", target=KEDA_SERVICE, port=KEDA_METRICS_PORT, directory=directory
                )
            )
            targets.append(Target("keda", f"http://127.0.0.1:{local}/metrics"))
        yield stack.enter_context(
            prometheus.run(directory / "prometheus", targets, rule_files=[rules], interval_seconds=2.0)
        )


def _scraped_pod(space: Space, selector: dict[str, str], port_name: str) -> tuple[str, int]:
    """Return the pod that a PodMonitor selects and the number of its port."""
    [pod] = space.get("pods", "--selector", ",".join(f"{key}={value}" for key, value in selector.items()))["items"]
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    [number] = [port["containerPort"] for port in ports if port.get("name") == port_name]
    return f"pod/{pod['metadata']['name']}", int(number)


def _address(port: int, endpoint: dict[str, Any]) -> str:
    pairs = [f"{key}={value}" for key, values in (endpoint.get("params") or {}).items() for value in values]
    query = f"?{'&'.join(pairs)}" if pairs else ""
    return f"http://127.0.0.1:{port}{endpoint.get('path', '/metrics')}{query}"


def states(client: Client) -> list[str]:
    """Return the states of the queue's alert: none where all is well."""
    return [one["state"] for one in client.alerts() if one["labels"]["alertname"] == ALERT]


def value(client: Client, expression: str) -> float | None:
    found = client.query(expression)
    return found[0].value if found else None


def require_keda(space: Space, client: Client) -> None:
    """Fail unless KEDA tells of its triggers under the names and labels that the rules and a local run have."""
    if not space.place.is_own_kind:  # where KEDA is elsewhere is not known
        return
    own = f'namespace="{space.name}",scaledObject="{RELEASE}-io-worker"'
    for name in ("keda_scaler_metrics_value", "keda_scaler_active"):
        found = client.query(f'{name}{{{own},scaler="rabbitMQScaler",type="scaledobject"}}')
        triggers = sorted((one.labels["triggerIndex"], one.labels["metric"]) for one in found)
        assert triggers == [("0", "s0-rabbitmq-io"), ("1", "s1-rabbitmq-io")], name
    assert value(client, f"keda_scaled_object_errors_total{{{own}}}") is not None


def watched(space: Space, url: str) -> dict[str, Any]:
    """Return what `harness watch` shows of the release at this moment."""
    command = [sys.executable, "-m", "harness", "watch", "--runtime", "cluster", "--release", RELEASE, "-n", space.name]
    command += ["--prometheus", url, "--looks", "1", "--json"]
    environment = {**os.environ, "KUBECONFIG": str(space.kubectl.kubeconfig)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("operator_kinds")
def test_an_alert_fires_in_a_spike_and_clears(space: Space, tmp_path: Path, record_property: Note) -> None:
    space.fixtures()
    space.install(WATCHED, values=SPIKE)
    with watching(space, tmp_path) as server:
        client = server.client
        fill = f'celery_workers:queue_fill:ratio{{release="{RELEASE}",queue="io"}}'
        eventually(lambda: value(client, fill) == 0, seconds=60, what="the empty queue in Prometheus")
        assert states(client) == []
        with space.latencies(smtp=WORK_SECONDS):
            ids = space.publish({TASK: TASKS})
            eventually(lambda: states(client) == ["firing"], seconds=60, what=f"{ALERT} that fires")
            look = watched(space, client.url)
            assert [one["name"] for one in look["alerts"]] == [ALERT]
            assert {one["name"]: one["limit_messages"] for one in look["queues"]}["io"] == LIMIT
            assert value(client, f'celery_workers_queue_limit_messages{{namespace="{space.name}"}}') == LIMIT
            eventually(lambda: states(client) == [], seconds=120, what=f"the end of {ALERT}")
            space.require_done(ids, seconds=120, what="the spike's tasks")
        done = 'sum(celery_workers_tasks_total{class="io",outcome="succeeded"})'
        eventually(lambda: value(client, done) == TASKS, seconds=60, what="all tasks, as the exporter counts them")
        assert value(client, 'sum(celery_workers_tasks_total{outcome!="succeeded"})') == 0
        require_keda(space, client)
        most = value(client, f"max(max_over_time({fill}[10m]))")
    assert most is not None
    assert most > 0.5
    record_property("tasks", TASKS)
    record_property("fullest", round(most, 2))
