"""RabbitMQ over TLS alone, each user with no more rights than its work: by the chart's values and a Secret of ours."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from amqp import Message
from amqp.exceptions import AccessRefused
from celery import Celery
from kombu import Connection
from prometheus_client.parser import text_string_to_metric_families

from harness import direct
from harness.broker.roles import roles
from harness.chart import yaml_strict
from harness.chart.render import render, topology
from harness.chart.values import CHART
from harness.cluster import rabbitmq_cluster
from harness.cluster.fixture import BROKER_SECRET
from harness.cluster.forward import port_forward
from harness.cluster.namespace import Namespace
from harness.cluster.versions import versions
from tests.cluster.apps import images, running
from tests.cluster.space import RELEASE, Space, eventually
from tests.local.tls_front import make_certificates

pytestmark = pytest.mark.full

PASSWORD = "of-one-test"
CA_SECRET, TLS_SECRET, SCALER_SECRET, EXPORTER_SECRET = "broker-ca", "broker-tls", "scaler-broker", "exporter-broker"
EXPORTER_PORT = 9808
PUBLISHING = ("publisher", "declaring-publisher")
# Who neither works nor publishes.
OTHERS = ("topology", "scaler", "monitor", "events", "exporter", "flower", "inspector")
# One class by KEDA, which then asks the management API over TLS, as a user that may look at queues and no more; and an
# exporter, whose user reads events and dead letters' headers besides.
SECURE = {
    "exporter": {"enabled": True, "existingSecret": EXPORTER_SECRET},
    "broker": {"scalerSecret": SCALER_SECRET, "tls": {"caSecret": CA_SECRET}},
    "workers": {"asking": {"scaler": "keda", "replicas": {"max": 2}, "targets": {"queueDepth": 10}}},
}


@dataclass
class Secured:
    """A release of parcels at a broker that speaks TLS."""

    space: Space
    cluster: rabbitmq_cluster.Cluster
    ca: Path
    publisher: running.Publisher

    @contextlib.contextmanager
    def connected(self, role: str) -> Iterator[Any]:
        """Yield a channel of a role's user, by a port of this machine."""
        with self.connection(role) as connection:
            yield connection.default_channel

    @contextlib.contextmanager
    def connection(self, role: str) -> Iterator[Connection]:
        """Yield the connection of a role's user."""
        tls = {"ca_certs": str(self.ca), "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": self.cluster.host}
        with self._port("amqps") as port:
            url = f"amqp://{role}:{PASSWORD}@127.0.0.1:{port}//"
            with Connection(url, ssl=tls, connect_timeout=10) as connection:
                yield connection

    def refuses(self, role: str, do: Callable[[Any], Any]) -> bool:
        """Whether the broker refuses a role what is done with a channel."""
        try:
            with self.connected(role) as channel:
                do(channel)
        except AccessRefused:
            return True
        return False

    def status(self, role: str, method: str, path: str, body: Any = None) -> int:
        """Return what the management API answers a role's user."""
        # The certificate is for the Service's name, which this machine reaches by a forwarded port only.
        extensions = {"sni_hostname": self.cluster.host}
        context = ssl.create_default_context(cafile=str(self.ca))
        with self._port("https") as port, httpx.Client(verify=context, trust_env=False) as client:
            return client.request(
                method,
                f"https://127.0.0.1:{port}/api/{path}",
                auth=(role, PASSWORD),
                json=body,
                extensions=extensions,
                timeout=10,
            ).status_code

    def _port(self, name: str) -> contextlib.AbstractContextManager[int]:
        return port_forward(
            self.space.kubectl,
            namespace=self.space.name,
            target=f"service/{rabbitmq_cluster.NAME}",
            port=self.cluster.ports[name],
            directory=self.space.directory,
        )


@pytest.fixture
def secured(space: Space, tmp_path: Path) -> Iterator[Secured]:
    if not space.place.is_own_kind:
        pytest.skip("the application's image is built for our kind cluster only")
    images.load(space.place, images.PARCELS)
    changed = tmp_path / "secure.yaml"
    changed.write_text(yaml_strict.dump_all([SECURE]))
    files = [images.PARCELS.values, changed]
    found = roles(topology(render(files)))
    users = [rabbitmq_cluster.User(one.name, PASSWORD, one.configure, one.write, one.read, one.tag) for one in found]
    path = Namespace(space.kubectl, space.name, space.place.node_directory).shared(rabbitmq_cluster.claim_name(0))
    cluster = rabbitmq_cluster.Cluster(
        space.name, versions().public_images["rabbitmq"], users, nodes=1, volume_paths=[path or ""],
        tls_secret=TLS_SECRET,
    )  # fmt: skip
    ca = add_secrets(space, cluster, tmp_path / "certificates")
    running.add_volume(space)
    try:
        space.kubectl.apply(rabbitmq_cluster.manifests(cluster), doing="applying RabbitMQ")
        space.rollout(f"statefulset/{rabbitmq_cluster.NAME}")
        space.helm("install", RELEASE, CHART, *(part for file in files for part in ("--values", file)))
        space.wait_for("Complete", "jobs", "--all", seconds=90)
        space.ready()
        env = yaml_strict.load_file(images.PARCELS.values)["env"]
        publisher = running.Publisher(space, images.PARCELS, RELEASE, env, "/ledger", "publisher-broker", CA_SECRET)
        publisher.start()
        yield Secured(space, cluster, ca, publisher)
    finally:
        space.kubectl.run(
            "delete", "persistentvolume", *rabbitmq_cluster.volume_names(cluster), "--wait=false", "--ignore-not-found",
            doing="deleting the broker's volume",
        )  # fmt: skip


def add_secrets(space: Space, cluster: rabbitmq_cluster.Cluster, directory: Path) -> Path:
    """Make the broker's certificate and every Secret; return the CA's certificate."""
    ca, certificate, key = make_certificates(directory, names=f"DNS:{cluster.host}")
    worker, topology_user, scaler, exporter, publisher = (f"{name}:{PASSWORD}@{cluster.host}" for name in (
        "worker", "topology", "scaler", "exporter", "declaring-publisher"))  # fmt: skip
    secrets = {
        CA_SECRET: {"ca.crt": ca.read_text()},
        TLS_SECRET: {"ca.crt": ca.read_text(), "tls.crt": certificate.read_text(), "tls.key": key.read_text()},
        BROKER_SECRET: {
            "amqpUrl": f"amqps://{worker}:{rabbitmq_cluster.AMQPS_PORT}//",
            "managementUrl": f"https://{topology_user}:{rabbitmq_cluster.HTTPS_PORT}",
        },
        SCALER_SECRET: {"managementUrl": f"https://{scaler}:{rabbitmq_cluster.HTTPS_PORT}"},
        EXPORTER_SECRET: {
            "amqpUrl": f"amqps://{exporter}:{rabbitmq_cluster.AMQPS_PORT}//",
            "managementUrl": f"https://{exporter}:{rabbitmq_cluster.HTTPS_PORT}",
        },
        "publisher-broker": {"amqpUrl": f"amqps://{publisher}:{rabbitmq_cluster.AMQPS_PORT}//"},
    }
    space.kubectl.apply(
        [
            {"apiVersion": "v1", "kind": "Secret", "stringData": data,
             "metadata": {"namespace": space.name, "name": name}}
            for name, data in secrets.items()
        ],
        doing="making the Secrets",
    )  # fmt: skip
    return ca


def publish(exchange: str, routing_key: str) -> Callable[[Any], Any]:
    return lambda channel: channel.basic_publish_confirm(Message(b"{}"), exchange=exchange, routing_key=routing_key)


def require_refusals(secured: Secured) -> None:
    """Fail where a user may do another's work."""
    for role in ("worker", *PUBLISHING, *OTHERS):
        assert secured.refuses(role, lambda channel: channel.basic_get("labels.dead")), role
        assert secured.refuses(role, lambda channel: channel.queue_declare("another")), role
    for role in (*PUBLISHING, *OTHERS):
        assert secured.refuses(role, lambda channel: channel.basic_get("labels")), role
    for role in OTHERS:
        assert secured.refuses(role, publish("", "labels")), role
    policy = {"pattern": "^labels$", "definition": {"max-length": 1}}
    for role in ("worker", "scaler", "monitor", "publisher"):
        assert secured.status(role, "PUT", "policies/%2F/mine", policy) == 401, role
    assert secured.status("worker", "GET", "queues/%2F") == 401
    assert [secured.status(role, "GET", "queues/%2F/labels") for role in ("scaler", "monitor", "topology")] == [200] * 3
    assert [secured.status(role, "GET", "nodes") for role in ("scaler", "monitor")] == [401, 200]


def exported(secured: Secured) -> dict[str, float]:
    """Return the exporter's series by name, summed up over their labels."""
    space = secured.space
    target = f"deployment/{RELEASE}-exporter"
    with port_forward(
        space.kubectl, namespace=space.name, target=target, port=EXPORTER_PORT, directory=space.directory
    ) as port:
        text = direct.get(f"http://127.0.0.1:{port}/metrics", timeout_seconds=10).raise_for_status().text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {name: sum(one.value for one in samples if one.name == name) for name in {one.name for one in samples}}


def require_exporter(secured: Secured, tasks: int) -> None:
    """Fail unless the exporter's user saw the tasks, may watch dead letters, and looks at queues over TLS."""
    found = eventually(
        lambda: (seen := exported(secured)).get("celery_workers_tasks_total") == tasks and seen,
        seconds=30,
        what="all tasks, as the exporter counts them",
    )
    assert found["celery_workers_exporter_up"] == 1
    assert (found["celery_workers_dead_letters_total"], found["celery_workers_queue_policy_missing"]) == (0, 0)
    assert found["celery_workers_queue_messages_total"] > 0


def require_flower(secured: Secured) -> None:
    """Fail unless the user of Flower hears the workers' events and asks them what they do; both are all it may do."""
    seen: list[str] = []
    with (
        secured.connection("flower") as connection,
        Celery("flower", broker=connection.as_uri(include_password=True), set_as_current=False) as app,
    ):
        app.conf.broker_use_ssl = connection.ssl
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
        receiver.capture(limit=1, timeout=20)
        answers = app.control.inspect(timeout=5, connection=connection).active_queues() or {}
    assert set(seen) == {"worker-heartbeat"}  # all workers may have answered the wake-up by then
    assert {name.partition("@")[0] for name in answers} == {"printing", "asking"}


def refused_by_the_broker(space: Space) -> list[str]:
    """Return what RabbitMQ says in its log of users who asked for more than they may."""
    log = space.kubectl.run("logs", f"{rabbitmq_cluster.NAME}-0", "-n", space.name, doing="reading RabbitMQ's log")
    return [line for line in log.splitlines() if "refused for user" in line or "access_refused" in line]


def require_tls(secured: Secured) -> None:
    """Fail where a client believes the broker without its CA, or where there is a port without TLS."""
    env = ["env", "-u", "CELERY_BROKER_CA_FILE", "python", "/opt/application/send.py"]
    done = secured.space.kubectl.run(
        "exec", secured.publisher.name, "-n", secured.space.name, "--", "sh", "-c",
        " ".join([*env, "'[[\"tracking.ask\", \"P1\"]]'", "forget", "2>&1 | tail -1"]),
        doing="publishing without the CA",
    )  # fmt: skip
    assert "CERTIFICATE_VERIFY_FAILED" in done
    plain = "import socket; socket.create_connection(('rabbitmq-0.rabbitmq-nodes', 5672), 5)"
    done = secured.publisher.run("sh", "-c", f'python -c "{plain}" 2>&1 | tail -1')
    assert "ConnectionRefusedError" in done


@pytest.mark.timeout(600)
def test_a_release_works_over_tls_with_the_rights_it_needs(secured: Secured) -> None:
    space = secured.space
    wanted = [["label.print", "P1", 100]] * 4 + [["customs.declare", "P1"]] * 4 + [["tracking.ask", "P1", 4]] * 60
    ids = secured.publisher.answer("python", "/opt/application/send.py", json.dumps(wanted), "forget")

    def two_pods() -> bool:
        return len(space.workers("asking")) == 2

    def all_done() -> bool:
        lines = secured.publisher.run("cat", "/ledger/lines.jsonl").splitlines()
        return {json.loads(line)["id"] for line in lines} == set(ids)

    eventually(two_pods, seconds=90, what="KEDA to see the queue over TLS")
    eventually(all_done, seconds=120, what="all tasks done")
    assert "celery works: 2 queues" in space.helm("test", RELEASE, "--logs")
    assert refused_by_the_broker(space) == []
    require_exporter(secured, len(ids))
    require_flower(secured)
    assert refused_by_the_broker(space) == []
    assert space.restarts() == {}
    require_refusals(secured)
    assert refused_by_the_broker(space) != []  # so the log above would have said it
    require_tls(secured)
