"""Undoes one override at its end, in the cluster, when its command has long ended: `python -m harness.ops.expiry`.

Runs as a Job in the release's own image, with the files beside it and nothing else of the harness. It asks the API
server with its ServiceAccount's token, which may read and patch the objects the override has changed, and no more.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.ops import objects
from harness.ops.engine import ConflictError, Engine, Handler, ObjectHandler, stored

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ANSWER_SECONDS = 10.0
LOOK_SECONDS = 15.0  # an override that is undone by hand is noticed so soon
AGAIN_SECONDS = 5.0
WORKER_RATE = "worker-rate"

# The path of each kind's objects, below the API server's address. Replicas of a Deployment have a resource of their
# own, so that nobody needs the right to change the Deployment itself.
PATHS: Mapping[str, str] = {
    objects.CONFIG_MAP: "api/v1/namespaces/{namespace}/configmaps/{name}",
    objects.DEPLOYMENT: "apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
    objects.HPA: "apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}",
    objects.SCALED_OBJECT: "apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/{name}",
}


class ApiDocuments:
    """A namespace's objects, by the API server of the pod this runs in. Every method raises HarnessError."""

    def __init__(self, *, server: str, namespace: str, account: Path = ACCOUNT) -> None:
        self._server = server.rstrip("/")
        self._namespace = namespace
        self._account = account
        self._tls = ssl.create_default_context(cafile=str(account / "ca.crt"))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none."""
        try:
            return self._document(kind, self._ask("GET", kind, name))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise self._refused("reading", kind, name, error) from error

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch. Raises ConflictError where it names another version."""
        try:
            return self._document(kind, self._ask("PATCH", kind, name, change))
        except urllib.error.HTTPError as error:
            if error.code == 409:
                raise ConflictError(f"{kind} {name} has changed meanwhile") from error
            raise self._refused("changing", kind, name, error) from error

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse: what this undoes in was made by the command."""
        raise HarnessError(f"{document['kind']} {document['metadata']['name']} is gone, and with it all overrides")

    def _ask(self, method: str, kind: str, name: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        path = PATHS[kind].format(namespace=self._namespace, name=name)
        headers = {
            # Read each time: the kubelet renews it.
            "Authorization": f"Bearer {(self._account / 'token').read_text().strip()}",
            "Content-Type": "application/merge-patch+json",
            "Accept": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._server}/{path}", data=data, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=self._tls) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError:
            raise
        except (OSError, ValueError) as error:
            raise HarnessError(f"the API server does not answer: {error}") from error

    @staticmethod
    def _document(kind: str, document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "kind": kind}  # of a Deployment it is its Scale

    @staticmethod
    def _refused(doing: str, kind: str, name: str, error: urllib.error.HTTPError) -> HarnessError:
        return HarnessError(f"{doing} {kind} {name}: the API server answers {error.code} {error.reason}")


def run(engine: Engine, override_id: str, *, say: Callable[[str], None], sleep: Callable[[float], None]) -> None:
    """Wait for the override's end and undo it; return at once when it is undone already.

    What does not work is tried again: the Job's own limit ends it.
    """
    while True:
        try:
            name = objects.state_name(engine.release)
            active = stored(engine.documents.get(objects.CONFIG_MAP, name))
            mine = next((one for one in active if one.id == override_id), None)
            if mine is None:
                say(f"override {override_id} is undone")
                return
            left_seconds = (mine.until or 0.0) - engine.clock()
            if left_seconds > 0:
                sleep(min(left_seconds, LOOK_SECONDS))
                continue
            for step in engine.undo(mine, action="expired"):
                say(step.sentence())
        except HarnessError as error:
            say(f"not done yet: {error}")
            sleep(AGAIN_SECONDS)


def main() -> int:
    """Do it for the override the environment names."""
    release, override_id = os.environ["OPS_RELEASE"], os.environ["OPS_OVERRIDE"]
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    documents = ApiDocuments(server=f"https://{host}:{port}", namespace=os.environ["OPS_NAMESPACE"])
    handler = ObjectHandler(documents, release)
    handlers: dict[str, Handler] = dict.fromkeys((objects.FLOOR, objects.HOLD, objects.PAUSED), handler)
    if os.environ.get("CELERY_BROKER_URL"):
        handlers[WORKER_RATE] = _worker_rates()
    engine = Engine(documents, release, handlers, by=f"job {os.environ.get('HOSTNAME', '')}")
    run(engine, override_id, say=lambda text: print(text, flush=True), sleep=time.sleep)
    return 0


def _worker_rates() -> Handler:
    """Return the handler of rates that each worker keeps for itself: with the release's own settings of the broker."""
    import celeryconfig  # the release's, on PYTHONPATH

    from harness.ops.workers import WorkerRateHandler, Workers

    settings = celeryconfig.make_settings(celeryconfig.load_topology(), os.environ)
    return WorkerRateHandler(Workers(os.environ["CELERY_BROKER_URL"], settings=settings))


if __name__ == "__main__":
    sys.exit(main())
