"""The API client against a server that refuses, is silent or is not there."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import processes
from harness.chart import yaml_strict
from harness.cluster.api import Api
from harness.errors import HarnessError, InputError

PODS = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "io-1"}}]}
CHANGES = [{"type": "ADDED", "object": {"metadata": {"name": "io-1"}}}]


class _Server(BaseHTTPRequestHandler):
    """Knows one namespace's pods; refuses evictions in namespace `full` and everything in `closed`."""

    def do_GET(self) -> None:
        if "/namespaces/closed/" in self.path:
            self._answer(403, {"kind": "Status", "reason": "Forbidden"})
        elif "watch=" in self.path:
            self._answer(200, *CHANGES)
        else:
            self._answer(200, PODS)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(429 if "/namespaces/full/" in self.path else 201, {"kind": "Status", "apiVersion": "v1"})

    def _answer(self, status: int, *documents: object) -> None:
        body = "".join(f"{json.dumps(one)}\n" for one in documents).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def api_at(tmp_path: Path) -> Iterator[Callable[[int], Api]]:
    """An Api on a loopback port, with a short patience."""
    made: list[Api] = []

    def make(port: int) -> Api:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml_strict.dump_all([_kubeconfig(port)]))
        made.append(Api(kubeconfig, answer_seconds=1.0))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def api(api_at: Callable[[int], Api]) -> Iterator[Api]:
    """An Api of a server that answers."""
    with ThreadingHTTPServer((processes.LOOPBACK, 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield api_at(server.server_address[1])
        server.shutdown()


def _kubeconfig(port: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": f"http://{processes.LOOPBACK}:{port}"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }


def test_pods_are_plain_documents(api):
    assert api.objects("v1", "pods", "here") == PODS["items"]


def test_a_watch_yields_changes_and_ends(api):
    assert list(api.watch_pods("here", seconds=1)) == [("ADDED", CHANGES[0]["object"])]
    assert list(api.watch("apps/v1", "deployments", "here", 1)) == [("ADDED", CHANGES[0]["object"])]


def test_a_budget_that_refuses_an_eviction_is_an_answer(api):
    assert api.evict("here", "io-1") is True
    assert api.evict("full", "io-1") is False


def test_a_server_that_refuses_says_why(api):
    with pytest.raises(HarnessError, match="answers 403 Forbidden"):
        api.objects("v1", "pods", "closed")
    with pytest.raises(HarnessError, match="answers 403 Forbidden"):
        api.get("apps/v1", "deployments", "closed", "io")
    with pytest.raises(HarnessError, match="answers 403 Forbidden"):
        list(api.watch_pods("closed", seconds=1))


def test_a_server_that_is_silent_is_asked_once(api_at):
    with socket.create_server((processes.LOOPBACK, 0)) as silent:
        api = api_at(silent.getsockname()[1])
        started = time.monotonic()
        with pytest.raises(HarnessError, match="does not answer"):
            api.objects("v1", "pods", "here")
        assert time.monotonic() - started < 3  # four attempts would take more


def test_no_server_at_all(api_at):
    with pytest.raises(HarnessError, match="does not answer"):
        api_at(processes.free_port()).objects("apps/v1", "deployments", "here")


def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(InputError, match=r"KUBECONFIG .*nowhere"):
        Api(tmp_path / "nowhere")
