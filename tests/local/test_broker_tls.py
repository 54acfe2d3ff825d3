"""Workers, publishers, the topology Job and helm test speak TLS, and only to a broker their CA vouches for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery.exceptions import OperationalError

from benchmarks import workers
from harness.broker.server import Broker
from harness.chart.values import CHART
from tests.local.tls_front import make_certificates, tls_front
from tests.local.worker_release import ReleaseUnderTest, eventually, load_file

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Secured:
    """A broker behind TLS: its addresses, its CA, and a CA that has nothing to do with it."""

    broker: Broker
    ca: Path
    stranger: Path


@contextmanager
def behind_tls(broker: Broker, directory: Path, names: str = "IP:127.0.0.1") -> Iterator[Secured]:
    """Put the broker behind TLS with a certificate for these names."""
    ca, certificate, key = make_certificates(directory / "ca", names=names)
    stranger, _, _ = make_certificates(directory / "stranger")
    amqp, management = urlsplit(broker.amqp_url), urlsplit(broker.management_url)
    assert amqp.port
    assert management.port
    with tls_front(certificate, key, amqp.port) as one, tls_front(certificate, key, management.port) as other:
        urls = [
            parts._replace(scheme=scheme, netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}").geturl()
            for parts, scheme, port in ((amqp, "amqps", one), (management, "https", other))
        ]
        yield Secured(replace(broker, amqp_url=urls[0], management_url=urls[1]), ca, stranger)


@pytest.fixture
def secured(vhost_broker: Broker, tmp_path: Path) -> Iterator[Secured]:
    with behind_tls(vhost_broker, tmp_path) as found:
        yield found


def make_topology() -> workers.Topology:
    return workers.make_topology(
        app="tests.local.user_apps.plain:app",
        classes={"io": workers.make_class("gevent", 10, "io")},
        queues={"io": workers.make_queue("io")},
    )


def run(release: ReleaseUnderTest, program: str, ca: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the release's programs as its container does."""
    environment = workers.base_environment(release.config, release.broker.amqp_url) | {
        "BROKER_MANAGEMENT_URL": release.broker.management_url,
        "CELERY_BROKER_CA_FILE": str(ca),
        "CELERY_WORKERS_CHECK_SECONDS": "10",
    }
    command = [sys.executable, str(release.config / program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def release_at(broker: Broker, directory: Path) -> ReleaseUnderTest:
    return ReleaseUnderTest(
        broker, make_topology(), workers.write_config(directory / "config", make_topology()), directory
    )


def test_a_release_works_over_tls(secured: Secured, vhost_broker: Broker, tmp_path: Path) -> None:
    release = release_at(secured.broker, tmp_path)
    done = run(release, "apply_topology.py", secured.ca)
    assert done.returncode == 0, done.stderr
    with release.worker("io", environment={"CELERY_BROKER_CA_FILE": str(secured.ca)}):
        done = run(release, "celery_workers_check.py", secured.ca)
        assert done.returncode == 0, done.stderr
        plain = replace(release, broker=vhost_broker)
        task = plain.publisher().send_task("tests.local.user_apps.plain.send_mail").id
        assert eventually(lambda: release.effects(task) != [])


def test_a_broker_of_another_ca_is_not_believed(secured: Secured, tmp_path: Path) -> None:
    release = release_at(secured.broker, tmp_path)
    settings = load_file(release.config / "celeryconfig.py")
    options = settings.tls_options(secured.broker.amqp_url, str(secured.stranger))
    app = release.publisher()
    app.conf.broker_use_ssl = options
    with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        app.send_task("anything")
    done = run(release, "celery_workers_check.py", secured.stranger)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


@pytest.mark.full
def test_a_certificate_for_another_name_is_not_believed(vhost_broker: Broker, tmp_path: Path) -> None:
    with behind_tls(vhost_broker, tmp_path, names="DNS:rabbitmq.example.com") as found:
        done = run(release_at(found.broker, tmp_path), "celery_workers_check.py", found.ca)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_the_liveness_probe_has_an_answer_over_tls(secured: Secured) -> None:
    health = load_file(CHART / "files" / "celery_workers_health.py")
    assert health.any_answers(secured.broker.amqp_url)
    assert not health.any_answers(secured.broker.amqp_url.replace("amqps:", "amqp:"))


def test_the_job_believes_no_other_ca(secured: Secured, tmp_path: Path) -> None:
    release = release_at(secured.broker, tmp_path)
    module = load_file(release.config / "apply_topology.py")
    api = module.Api(secured.broker.management_url, str(secured.stranger))
    with pytest.raises(module.TopologyError, match="CERTIFICATE_VERIFY_FAILED"):
        module.apply_topology(api, make_topology(), wait_seconds=0.1)
