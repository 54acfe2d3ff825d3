"""Getting a RabbitMQ for one run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from kombu import Connection

from harness import packages
from harness.broker import container, node
from harness.broker.management import Management
from harness.broker.urls import BrokerUrl, accepts_tcp, parse_amqp
from harness.errors import HarnessError, InputError
from harness.urls import redact

INSTALL_HELP = """\
no RabbitMQ in reach. Do one of these:
  Debian, Ubuntu   apt-get install rabbitmq-server   (as root this is done for you)
  Fedora           dnf install rabbitmq-server
  macOS            brew install rabbitmq
  any              start Docker or Podman, or set BROKER_URL=amqp://user:password@host:5672/vhost"""


@dataclass(frozen=True)
class Broker:
    """A RabbitMQ that answers. `pid` and `control` are the node's when we run it ourselves.

    `metrics_url` is where its plugin rabbitmq_prometheus serves, None where that is not known.
    """

    amqp_url: str
    management_url: str
    version: str
    origin: str  # given | node | container | fixture
    pid: int | None = None
    control: node.Control | None = None
    metrics_url: str | None = None


def for_vhost(broker: Broker, vhost: str) -> Broker:
    """The same RabbitMQ, seen through another virtual host."""
    path = f"/{quote(vhost, safe='')}"
    amqp_url = urlsplit(broker.amqp_url)._replace(path=path).geturl()
    management_url = urlsplit(broker.management_url)._replace(path=path).geturl()
    return replace(broker, amqp_url=amqp_url, management_url=management_url)


@contextlib.contextmanager
def own_vhost(broker: Broker, vhost: str) -> Iterator[Broker]:
    """Yield the broker with a virtual host that exists for the block only: nothing of its owner's is seen or touched.

    Raises InputError when the user may not make one.
    """
    user = parse_amqp(broker.amqp_url, source="BROKER_URL").user
    with Management(broker.management_url) as api:
        try:
            api.create_vhost(vhost, user=user)
        except HarnessError as error:
            raise InputError(
                f"user {user!r} of BROKER_URL may not make a virtual host for the run: give it the administrator tag "
                f"there (rabbitmqctl set_user_tags {user} administrator), or unset BROKER_URL ({error})"
            ) from error
        try:
            yield for_vhost(broker, vhost)
        finally:
            api.delete_vhost(vhost)


@contextlib.contextmanager
def acquire(directory: Path, *, port: int | None = None) -> Iterator[Broker]:
    """Yield a RabbitMQ; what was started for it ends with the block.

    The first that applies: $BROKER_URL (and $BROKER_MANAGEMENT_URL); a node of our own from an installed RabbitMQ; a
    container; the distribution's packages, as root on Debian. `directory` takes data and logs. `port` fixes the AMQP
    port of a RabbitMQ we start. Raises InputError for a given broker that does not answer and for a port that is
    taken, HarnessError when there is no way to a RabbitMQ, saying what to install.
    """
    directory = directory.absolute()  # a node changes its working directory
    directory.mkdir(parents=True, exist_ok=True)
    given = os.environ.get("BROKER_URL")
    if given:
        yield given_broker(given, os.environ)
        return
    server = node.find_server()
    if server is None and (engine := container.find_engine()) is not None:
        with container.run(engine, directory, port=port) as urls:
            version = _version(urls.management)
            yield Broker(urls.amqp, urls.management, version, "container", metrics_url=urls.metrics)
        return
    with own_node(directory, port=port) as broker:
        yield broker


@contextlib.contextmanager
def own_node(directory: Path, *, port: int | None = None, keep: bool = False) -> Iterator[Broker]:
    """Yield a RabbitMQ that runs as processes of ours, whatever $BROKER_URL says. Raises as `acquire` does.

    With `keep` a later call in the same directory goes on with its data.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    with node.run(node.find_server() or _installed_server(), directory, port=port, keep=keep) as running:
        management_url = node.management_url(running.ports)
        amqp_url = node.amqp_url(running.ports)
        version = _version(management_url)
        metrics_url = node.metrics_url(running.ports)
        yield Broker(amqp_url, management_url, version, "node", running.pid, running.control, metrics_url)


def prepare() -> str:
    """Make sure that `acquire` will find a RabbitMQ, installing the distribution's packages if need be.

    Returns where it will come from. Raises as `acquire` does.
    """
    given = os.environ.get("BROKER_URL")
    if given:
        return given_broker(given, os.environ).origin
    installed = node.find_server()
    if installed is None and (engine := container.find_engine()) is not None:
        return f"a container of {engine}"
    return str(installed or _installed_server())


def given_broker(amqp_url: str, environment: Mapping[str, str]) -> Broker:
    """The user's own broker, checked. Raises InputError naming what does not answer, never with a password."""
    parts = parse_amqp(amqp_url, source="BROKER_URL")
    _check_amqp(amqp_url, parts)
    management_url = environment.get("BROKER_MANAGEMENT_URL") or parts.management_guess()
    try:
        version = _version(management_url)
    except HarnessError as error:
        raise InputError(
            f"{error}. Enable the rabbitmq_management plugin there, or set BROKER_MANAGEMENT_URL "
            "(http://user:password@host:15672/vhost)"
        ) from error
    return Broker(amqp_url, management_url, version, "given", metrics_url=environment.get("BROKER_METRICS_URL") or None)


def reached(amqp_url: str, management_url: str, *, origin: str) -> Broker:
    """Return a broker somebody else runs, asked for its version. Raises HarnessError when it does not answer."""
    return Broker(amqp_url, management_url, _version(management_url), origin)


def _check_amqp(amqp_url: str, parts: BrokerUrl) -> None:
    if not accepts_tcp(parts.host, parts.port):
        raise InputError(f"no broker answers at BROKER_URL ({parts.shown}): start it, or unset BROKER_URL")
    try:
        with Connection(amqp_url, connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)
    except Exception as error:  # whatever the other side is, the message is the same
        reason = str(error).replace(parts.password, "***") if len(parts.password) > 3 else type(error).__name__
        raise InputError(f"the broker at BROKER_URL ({parts.shown}) refuses us: {reason}") from error


def _installed_server() -> Path:
    return packages.ensure("rabbitmq-server", node.find_server, what="RabbitMQ", help_text=INSTALL_HELP)


def _version(management_url: str) -> str:
    try:
        with Management(management_url) as api:
            return api.version()
    except ValueError as error:  # a malformed URL
        raise InputError(f"the management URL {redact(management_url)} is not usable: {error}") from error
