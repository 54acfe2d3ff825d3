"""A RabbitMQ of one's own: it starts, answers, ends, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from kombu import Connection, Exchange, Queue

from harness.broker.management import Management, dead_letters
from harness.broker.server import Broker, acquire, for_vhost, own_vhost
from harness.broker.stats import version_numbers
from harness.errors import HarnessError, InputError

pytestmark = pytest.mark.timeout(90)


def eventually(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_broker_answers(broker: Broker) -> None:
    with Management(broker.management_url) as api:
        assert api.ping()
        assert api.version() == broker.version
    assert version_numbers(broker.version) >= (3, 8)
    with Connection(broker.amqp_url) as connection:
        connection.ensure_connection(max_retries=1)


@pytest.mark.full
def test_two_nodes_at_once_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_URL", raising=False)
    me = psutil.Process()
    before = {child.pid for child in me.children(recursive=True)}
    with acquire(tmp_path / "a") as first, acquire(tmp_path / "b") as second:
        assert first.amqp_url != second.amqp_url
        started = [child for child in me.children(recursive=True) if child.pid not in before]
        listening = {link.laddr.ip for one in started for link in one.net_connections("tcp") if link.status == "LISTEN"}
        assert {one.name() for one in started} >= {"epmd", "beam.smp"}
        assert listening <= {"127.0.0.1", "::1"}
    assert eventually(lambda: not any(one.is_running() and one.status() != "zombie" for one in started))


@pytest.mark.full  # starts a node of its own; test_keeper.py has the same of a PostgreSQL
def test_node_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\nfrom harness.broker.server import acquire\n"
        "with acquire(pathlib.Path(sys.argv[1])) as b:\n    print(b.pid, flush=True)\n    time.sleep(60)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "BROKER_URL"}
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert owner.stdout is not None
    node = psutil.Process(int(owner.stdout.readline()))
    family = psutil.Process(owner.pid).children(recursive=True)
    assert node in family
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdout.close()
    assert eventually(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))


def test_taken_port_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=str(port)), acquire(tmp_path, port=port):
            pass


def test_given_broker_is_used_and_checked(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", broker.amqp_url)
    monkeypatch.setenv("BROKER_MANAGEMENT_URL", broker.management_url)
    with acquire(tmp_path) as given:
        assert (given.origin, given.amqp_url, given.version) == ("given", broker.amqp_url, broker.version)
    monkeypatch.setenv("BROKER_URL", broker.amqp_url.replace("guest:guest", "guest:geheim"))
    with pytest.raises(InputError, match="refuses") as caught, acquire(tmp_path):
        pass
    assert "geheim" not in str(caught.value)


def test_management_refusal_is_one_message(broker: Broker) -> None:
    url = broker.management_url.replace("guest:guest", "guest:geheim")
    with Management(url) as api, pytest.raises(HarnessError, match="401") as caught:
        api.version()
    assert "geheim" not in str(caught.value)


def test_dead_letters_are_read_and_stay(vhost_broker: Broker) -> None:
    dead = Queue("io.dead", Exchange("x.dlx", type="direct"), routing_key="io.dead", durable=True)
    live = Queue(
        "io",
        Exchange("x", type="direct"),
        routing_key="io",
        queue_arguments={
            "x-dead-letter-exchange": "x.dlx",
            "x-dead-letter-routing-key": "io.dead",
            "x-message-ttl": 1,
        },
    )
    with Connection(vhost_broker.amqp_url) as connection:
        for queue in (dead, live):
            queue(connection.default_channel).declare()
        producer = connection.Producer()
        for number in range(3):
            headers = {"id": f"id-{number}", "task": "mail"}
            producer.publish({}, exchange="x", routing_key="io", headers=headers)
    with Management(vhost_broker.management_url) as api:
        assert eventually(lambda: "io.dead" in api.queues() and api.queues()["io.dead"].ready == 3)
        for _ in range(2):  # reading twice shows that the first time took nothing
            letters = dead_letters(vhost_broker.amqp_url, "io.dead")
            assert [letter.id for letter in letters] == ["id-0", "id-1", "id-2"]
            assert {(letter.task, letter.reason, letter.queue) for letter in letters} == {("mail", "expired", "io")}
    assert dead_letters(vhost_broker.amqp_url, "no.such.queue") == []


def test_closing_a_connection_that_has_gone_is_no_error(broker: Broker) -> None:
    with Management(broker.management_url) as api:
        api.close_connection("127.0.0.1:1 -> 127.0.0.1:2")


def test_a_run_on_a_given_broker_sees_none_of_its_owners_queues(vhost_broker: Broker) -> None:
    with Connection(vhost_broker.amqp_url) as connection:
        Queue("io", channel=connection.default_channel).declare()
    with own_vhost(vhost_broker, "spike-test-run") as own, Management(own.management_url) as api:
        assert api.queues() == {}
        with Connection(own.amqp_url) as connection:
            Queue("io", channel=connection.default_channel).declare()
    with Management(vhost_broker.management_url) as api:
        assert "io" in api.depths()
    with Management(for_vhost(vhost_broker, "spike-test-run").management_url) as api, pytest.raises(HarnessError):
        api.queues()
