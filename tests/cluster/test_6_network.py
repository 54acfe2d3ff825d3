"""Network policies: what a release's pods may reach and who may reach them, where the network enforces it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.cluster import fixture, outside
from harness.errors import HarnessError
from tests.cluster import client
from tests.cluster.space import RELEASE, WORKERS, Space, eventually

LISTENER, PORT = "listener", 8080
PROMETHEUS, EXPORTER_PORT = "prometheus", 9808
CONNECT_SECONDS = 2
ENFORCED_SECONDS = 15.0
SERVES = f"import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port={PORT}, bind='0.0.0.0')"
STRICT = {
    "networkPolicy": {
        "enabled": True,
        "allowExternal": False,
        "broker": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": fixture.NAME}}}],
        "egress": [
            {
                "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": outside.NAME}}}],
                "ports": [{"port": outside.SMTP_PORT}, {"port": outside.HTTP_PORT}],
            }
        ],
    }
}


def add_pod(space: Space, name: str, command: Sequence[str]) -> str:
    """Run a pod that is nothing of the release; return its address."""
    pod = next(one for one in client.manifests(space.name, space.place.image) if one["kind"] == "Pod")
    pod["metadata"] = {"namespace": space.name, "name": name, "labels": {"app.kubernetes.io/name": name}}
    pod["spec"]["volumes"] = [one for one in pod["spec"]["volumes"] if one["name"] == "tmp"]
    container = pod["spec"]["containers"][0]
    container |= {"command": list(command), "env": [], "envFrom": [], "workingDir": "/tmp"}
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] == "tmp"]
    space.kubectl.apply([pod], doing=f"applying pod {name}")
    space.wait_for("Ready", f"pod/{name}", seconds=60)
    return str(space.get("pod", name)["status"]["podIP"])


def connects(space: Space, pod: str, address: str, port: int) -> bool:
    """Whether a pod gets a connection."""
    program = f"import socket; socket.create_connection(({address!r}, {port}), {CONNECT_SECONDS}).close()"
    try:
        space.kubectl.run("exec", pod, "-n", space.name, "--", "python", "-c", program, doing=f"connecting from {pod}")
    except HarnessError as error:
        if "TimeoutError" not in str(error) and "ConnectionRefusedError" not in str(error):
            raise
        return False
    return True


def require_enforcement(space: Space, address: str) -> None:
    """Skip where a pod that nobody may connect to is reached all the same."""
    assert connects(space, client.NAME, address, PORT), "the listener cannot be reached before there is a policy"
    policy: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": space.name, "name": LISTENER},
        "spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": LISTENER}}, "policyTypes": ["Ingress"]},
    }
    space.kubectl.apply([policy], doing="closing the listener")
    try:
        eventually(lambda: not connects(space, client.NAME, address, PORT), seconds=ENFORCED_SECONDS, what="a refusal")
    except AssertionError:
        pytest.skip(
            f"this cluster's network enforces no NetworkPolicy: a closed pod was reached {ENFORCED_SECONDS:.0f} s on"
        )
    finally:
        space.kubectl.run("delete", "networkpolicy", LISTENER, "-n", space.name, doing="opening the listener")
    eventually(lambda: connects(space, client.NAME, address, PORT), seconds=30, what="the listener to be open again")


def scraped(space: Space, address: str) -> str:
    """Return what the pod Prometheus would run as reads of the exporter."""
    program = f"import urllib.request; print(urllib.request.urlopen('http://{address}:{EXPORTER_PORT}/metrics').read())"
    return space.kubectl.run(
        "exec", PROMETHEUS, "-n", space.name, "--", "python", "-c", program, doing="scraping the exporter"
    )


def require_scrape(space: Space, watching: Space) -> None:
    """Fail unless Prometheus' namespace reads the exporter, which has its broker, and the release's own does not."""
    add_pod(watching, PROMETHEUS, ["sleep", "infinity"])
    [pod] = space.get("pods", "--selector", "app.kubernetes.io/component=exporter")["items"]
    address = str(pod["status"]["podIP"])
    eventually(
        lambda: "celery_workers_exporter_up 1.0" in scraped(watching, address),
        seconds=30,
        what="an exporter that Prometheus reads and that reads its broker",
    )
    assert "celery_workers_queue_policy_missing" in scraped(watching, address), "it may not ask the management API"
    assert not connects(space, client.NAME, address, EXPORTER_PORT), "somebody else reaches the exporter"


@pytest.mark.timeout(400)
def test_workers_reach_what_is_listed_and_nobody_reaches_them_but_prometheus(
    release: Space, new_space: Callable[[], Space]
) -> None:
    space, watching = release, new_space()
    try:
        address = add_pod(space, LISTENER, ["python", "-c", SERVES])
        require_enforcement(space, address)
        watched = {**STRICT["networkPolicy"], "prometheusNamespace": watching.name}
        space.upgrade("prod,keda,kind", values={"networkPolicy": watched, "exporter": {"enabled": True}})
        require_scrape(space, watching)
        worker = space.workers("io")[0]
        name, ip = worker["metadata"]["name"], worker["status"]["podIP"]
        assert not connects(space, name, address, PORT), "a worker reaches what nobody listed"
        listen = f'timeout 20 python -c "{SERVES}" >/dev/null 2>&1 & sleep 2; echo'
        space.kubectl.run("exec", name, "-n", space.name, "--", "sh", "-c", listen, doing="opening a port in a worker")
        assert connects(space, name, ip, PORT), "nothing listens in the worker"
        assert not connects(space, client.NAME, ip, PORT), "somebody reaches a worker"
        ids = space.publish({"forgot_password_mail": 5, "bulk_upload_questions_task": 2, "check_db_connections": 3})
        space.require_done(ids, seconds=60, what="tasks that need broker, DNS and services only")
        assert space.names("networkpolicies", f"app.kubernetes.io/instance={RELEASE}")
        assert space.restarts() == {}, space.get("pods", "--selector", WORKERS)
    finally:
        space.kubectl.run(
            "delete",
            "pod",
            LISTENER,
            "-n",
            space.name,
            "--ignore-not-found",
            "--wait=false",
            doing="removing the listener",
        )
