"""A release in a cluster: its objects by kubectl, its broker and Redis through the API server, its undoing by a Job."""

from __future__ import annotations

import contextlib
import json
import os
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import harness
from harness import processes, scratch
from harness.chart.manifests import REDIS_URL_VARIABLE, get, items
from harness.cluster import kindconfig, programs, setup
from harness.cluster.forward import port_forward
from harness.cluster.kubectl import Kubectl
from harness.errors import HarnessError, InputError
from harness.ops import expiry_job, objects
from harness.ops.engine import ConflictError, ends_by_itself
from harness.ops.overrides import Override
from harness.ops.target import Target, Where
from harness.ops.wishes import CLASS_LABEL

RESOURCES: Mapping[str, str] = {
    objects.CONFIG_MAP: "configmaps",
    objects.DEPLOYMENT: "deployments.apps",
    objects.HPA: "horizontalpodautoscalers.v2.autoscaling",
    objects.SCALED_OBJECT: "scaledobjects.keda.sh",
}
PORTS = {"amqp": 5672, "amqps": 5671, "http": 15672, "https": 15671, "redis": 6379, "rediss": 6379}
TLS = ("amqps", "https", "rediss")
# What runs in the release's image; the packages' own __init__ files need not be there.
PROGRAMS = ("errors.py", "urls.py", "ops/overrides.py", "ops/objects.py", "ops/engine.py", "ops/expiry.py")
PROGRAMS_FOR_WORKERS = ("ops/workers.py",)
TOPOLOGY = "topology.json"
EMPTY = ("harness/__init__.py", "harness/ops/__init__.py")


@dataclass(frozen=True)
class KubeDocuments:
    """The objects of one release in one namespace, by kubectl. Every method raises HarnessError."""

    kubectl: Kubectl
    namespace: str
    release: str

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none."""
        return self.kubectl.get(RESOURCES[kind], name, "--namespace", self.namespace) or None

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the release's objects of a kind; none where the cluster does not know the kind."""
        selector = f"app.kubernetes.io/instance={self.release}"
        try:
            found = self.kubectl.get(RESOURCES[kind], "--namespace", self.namespace, "--selector", selector)
        except HarnessError as error:
            if "the server doesn't have a resource type" in str(error):
                return []
            raise
        return [{**one, "kind": kind} for one in items(found, "items")]

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Apply a merge patch. Raises ConflictError where it names another version."""
        with _conflicts():
            text = self._run(
                "patch", RESOURCES[kind], name, "--type=merge", "--patch-file=/dev/stdin", "--output=json",
                doing=f"changing {kind} {name}", stdin=json.dumps(change),
            )  # fmt: skip
        return dict(json.loads(text))

    def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make an object, which goes with the release. Raises ConflictError where there is one of that name."""
        if "ownerReferences" not in document["metadata"]:
            document = owned(document, self.configuration())
        with _conflicts():
            text = self._run(
                "create", "--filename=-", "--output=json",
                doing=f"making {document['kind']} {document['metadata']['name']}", stdin=json.dumps(document),
            )  # fmt: skip
        return dict(json.loads(text))

    def configuration(self) -> dict[str, Any]:
        """Return the release's ConfigMap, which every upgrade keeps."""
        for config in self.all(objects.CONFIG_MAP):
            if get(config, "data", TOPOLOGY):
                return config
        raise HarnessError(f"release {self.release} has no ConfigMap with a {TOPOLOGY}")

    def secret(self, name: str, key: str) -> str:
        """Return a value of a Secret."""
        found = self.kubectl.get("secret", name, "--namespace", self.namespace)
        if get(found, "data", key) is None:
            raise HarnessError(f"Secret {name} in namespace {self.namespace} has no key {key}")
        return b64decode(found["data"][key]).decode()

    def _run(self, *arguments: str, doing: str, stdin: str) -> str:
        return self.kubectl.run(*arguments, "--namespace", self.namespace, doing=doing, stdin=stdin)


@contextlib.contextmanager
def opened(where: Where) -> Iterator[Target]:
    """Yield the release of a cluster. Raises InputError where it is not there, HarnessError when nothing answers."""
    kubectl = Kubectl(programs.find_kubectl(), _kubeconfig(where))
    documents = KubeDocuments(kubectl, where.namespace, where.release)
    workers = [one for one in documents.all(objects.DEPLOYMENT) if get(one, "metadata", "labels", CLASS_LABEL)]
    if not workers:
        raise InputError(
            f"--release {where.release}: namespace {where.namespace} has no workers of a release of that name "
            f"(kubeconfig {kubectl.kubeconfig})"
        )
    with contextlib.ExitStack() as stack:
        addresses = _Addresses(documents, workers[0], stack)
        yield Target(
            shown=f"release {where.release} in namespace {where.namespace}",
            release=where.release,
            documents=documents,
            topology=_topology(documents),
            amqp_url=addresses.amqp_url(),
            management_url=addresses.management_url(),
            redis_url=addresses.redis_url(),
            journals=_state_home() / f"{where.namespace}-{where.release}",
            outlives=lambda override: start_job(documents, workers[0], override),
        )


def owned(document: Mapping[str, Any], owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as one that Kubernetes removes with a ConfigMap: Helm only knows what is the chart's."""
    named = {key: owner["metadata"][key] for key in ("name", "uid")}
    reference = {"apiVersion": "v1", "kind": objects.CONFIG_MAP, **named}
    return {**document, "metadata": {**document["metadata"], "ownerReferences": [reference]}}


def start_job(documents: KubeDocuments, worker: Mapping[str, Any], override: Override) -> None:
    """Have a Job undo an override at its end; one whose things end by themselves needs none. Raises HarnessError."""
    if override.until is None or all(ends_by_itself(change.thing) for change in override.changes):
        return
    release, namespace = documents.release, documents.namespace
    files = programs_of(override)
    job = expiry_job.job(override, worker, release=release, namespace=namespace, files=files)
    uid = documents.create(job)["metadata"]["uid"]
    for document in expiry_job.companions(override, release=release, namespace=namespace, owner_uid=uid, files=files):
        documents.create(document)
    name = job["metadata"]["name"]
    documents.kubectl.run(
        "patch", "job", name, "--namespace", namespace, "--type=merge", "--patch", '{"spec":{"suspend":false}}',
        doing=f"starting Job {name}",
    )  # fmt: skip


def programs_of(override: Override) -> dict[str, str]:
    """Return the files a Job runs, by their paths below a directory of Python's."""
    home = Path(harness.__file__).parent
    names = PROGRAMS + (PROGRAMS_FOR_WORKERS if expiry_job.asks_workers(override) else ())
    return {**dict.fromkeys(EMPTY, ""), **{f"harness/{name}": (home / name).read_text() for name in names}}


def _topology(documents: KubeDocuments) -> dict[str, Any]:
    return dict(json.loads(documents.configuration()["data"][TOPOLOGY]))


def _kubeconfig(where: Where) -> Path:
    if where.runtime == "kind":
        found = setup.status(kindconfig.cluster_name(os.environ))
        if not found["exists"]:
            raise InputError("--runtime kind: there is no kind cluster; `make cluster` makes one")
        return Path(found["kubeconfig"])
    given = os.environ.get("KUBECONFIG")
    if not given:
        raise InputError("--runtime cluster acts on the cluster that KUBECONFIG names, and it is not set")
    return Path(given)


def _state_home() -> Path:
    configured = os.environ.get("XDG_STATE_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".local" / "state"
    return base / "celery-workers"


@dataclass(frozen=True)
class _Addresses:
    """Where this machine reaches what the workers reach: as the environment says, else as their Secrets say.

    A Service of the cluster is reached through the API server, until `stack` ends.
    """

    documents: KubeDocuments
    worker: Mapping[str, Any]
    stack: contextlib.ExitStack

    def amqp_url(self) -> str:
        """Return the broker's."""
        return os.environ.get("BROKER_URL") or self._reached(self._of_worker("CELERY_BROKER_URL") or "")

    def management_url(self) -> str:
        """Return its management API's: key managementUrl of the same Secret."""
        given = os.environ.get("BROKER_MANAGEMENT_URL")
        if given:
            return given
        reference = self._reference("CELERY_BROKER_URL")
        return self._reached(self.documents.secret(str(reference["name"]), "managementUrl"))

    def redis_url(self) -> str | None:
        """Return Redis', None where the workers have none."""
        found = os.environ.get("REDIS_URL") or self._of_worker(REDIS_URL_VARIABLE)
        return found if not found or os.environ.get("REDIS_URL") else self._reached(found)

    def _reference(self, variable: str) -> Mapping[str, Any]:
        for one in items(self.worker, "spec", "template", "spec", "containers", 0, "env"):
            if one["name"] == variable:
                return dict(get(one, "valueFrom", "secretKeyRef", default={}))
        return {}

    def _of_worker(self, variable: str) -> str | None:
        reference = self._reference(variable)
        return self.documents.secret(reference["name"], reference["key"]) if reference else None

    def _reached(self, url: str) -> str:
        parts = urlsplit(url)
        name, _, rest = (parts.hostname or "").partition(".")
        namespace = rest.partition(".")[0] or self.documents.namespace
        # With TLS the certificate names the Service, not this machine: such an address has to be given.
        if parts.scheme in TLS or not name or not self._is_service(name, namespace):
            return url
        directory = self.stack.enter_context(scratch.directory("ops"))
        port = self.stack.enter_context(
            port_forward(
                self.documents.kubectl,
                namespace=namespace,
                target=f"service/{name}",
                port=parts.port or PORTS.get(parts.scheme, 0),
                directory=directory,
            )
        )
        login = parts.netloc.rpartition("@")[0]
        netloc = f"{login}@{processes.LOOPBACK}:{port}" if login else f"{processes.LOOPBACK}:{port}"
        return parts._replace(netloc=netloc).geturl()

    def _is_service(self, name: str, namespace: str) -> bool:
        try:
            return bool(self.documents.kubectl.get("service", name, "--namespace", namespace))
        except HarnessError:  # not ours to look at, so not in this cluster as far as we can see
            return False


@contextlib.contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except HarnessError as error:
        if "(Conflict)" in str(error) or "(AlreadyExists)" in str(error):
            raise ConflictError(str(error)) from error
        raise
