"""Network policies: what a release's pods may reach and who may reach them, where the network enforces it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cluster import fixture, outside
from harness.errors import HarnessError
from tests.cluster import client
from tests.cluster.space import RELEASE, WORKERS, Space, eventually

LISTENER, PORT = "listener", 8080
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


def add_listener(space: Space) -> str:
    """Run a pod that answers anybody, nothing of the release; return its address."""
    pod = next(one for one in client.manifests(space.name, space.place.image) if one["kind"] == "Pod")
    metadata = {"namespace": space.name, "name": LISTENER, "labels": {"app.kubernetes.io/name": LISTENER}}
    pod["metadata"] = metadata
    pod["spec"]["volumes"] = [one for one in pod["spec"]["volumes"] if one["name"] == "tmp"]
    container = pod["spec"]["containers"][0]
    container |= {"command": ["python", "-c", SERVES], "env": [], "envFrom": [], "workingDir": "/tmp"}
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["name"] == "tmp"]
    space.kubectl.apply([pod], doing="applying the listener")
    space.wait_for("Ready", f"pod/{LISTENER}", seconds=60)
    return str(space.get("pod", LISTENER)["status"]["podIP"])


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


@pytest.mark.timeout(400)
def test_workers_reach_what_is_listed_and_nobody_reaches_them(release: Space) -> None:
    space = release
    try:
        address = add_listener(space)
        require_enforcement(space, address)
        space.upgrade("prod,keda,kind", values=STRICT)
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
