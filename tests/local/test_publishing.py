"""The publisher on a real RabbitMQ: refusals, lost connections, silence, threads, greenlets, fork."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import kombu.utils.functional
import pytest
from celery import Celery
from kombu import Queue

from celery_workers import Backoff, Publisher, PublishError, QueueFull, Topology, Unconfirmed, Unreachable, Unroutable
from harness.broker.management import dead_letters
from harness.broker.server import Broker
from tests.local.keeper import ALONE
from tests.local.publishing import (
    LIMIT,
    SHORT_SECONDS,
    Proxy,
    depth,
    limited,
    local_ports,
    make_app,
    rabbitmqctl,
    run_script,
    take,
)
from tests.local.standing_still import standing_still


def outcome(publisher: Publisher, **options: Any) -> str:
    try:
        publisher.attempt("t", **options)
    except PublishError as error:
        return type(error).__name__
    return "accepted"


@pytest.fixture
def proxy(vhost_broker: Broker) -> Iterator[Proxy]:
    opened = Proxy(vhost_broker.amqp_url)
    yield opened
    opened.close()


def test_a_full_queue_refuses_over_one_and_the_same_connection(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    before = local_ports(vhost_broker.amqp_url)
    publisher = Publisher(app)
    outcomes, seen = [], set()
    for _ in range(40):
        outcomes.append(outcome(publisher))
        seen |= local_ports(vhost_broker.amqp_url) - before
    assert outcomes == ["accepted"] * LIMIT + ["QueueFull"] * 35
    assert len(seen) == 1
    assert publisher.counters["refused"] == 35
    assert publisher.counters["refused_stored"] == 0
    assert depth(app, "io") == LIMIT


def test_a_refusal_that_was_stored_is_marked_and_never_retried(vhost_broker: Broker) -> None:
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "cpu.dead"}
    app = make_app(vhost_broker.amqp_url, cpu=limited("reject-publish-dlx", **dead), **{"cpu.dead": {}})
    publisher = Publisher(app, topology=Topology(frozenset({"cpu"})))
    for _ in range(LIMIT):
        publisher.publish("t")
    with pytest.raises(QueueFull) as caught:
        publisher.publish("t", task_id="kept")
    assert caught.value.stored
    assert caught.value.queue == "cpu"
    assert depth(app, "cpu.dead") == 1
    assert take(app, "cpu.dead") == "kept"
    assert publisher.counters["refused_stored"] == 1


def test_what_a_quorum_queue_refuses_the_publisher_stores(vhost_broker: Broker) -> None:
    arguments = {"x-queue-type": "quorum", "x-max-length": LIMIT, "x-overflow": "reject-publish"}
    app = make_app(vhost_broker.amqp_url, cpu=arguments, **{"cpu.dead": {}})
    publisher = Publisher(app, topology=Topology(refused_to={"cpu": "cpu.dead"}))
    refused = set()
    for number in range(LIMIT + 4):
        try:
            publisher.publish("t", task_id=str(number))
        except QueueFull as error:
            refused.add(error.task_id if error.stored else "not stored")
    assert len(refused) in (3, 4)  # it takes one more than its limit
    letters = dead_letters(vhost_broker.amqp_url, "cpu.dead")
    assert {(one.id, one.queue, one.reason) for one in letters} == {(task, "cpu", "refused") for task in refused}
    assert len(letters) == len(refused)
    assert publisher.counters["refused_stored"] == len(refused)


def test_a_queue_that_is_not_there_is_unroutable_and_spoils_nothing_after_it(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    publisher = Publisher(app, connections=1)
    outcomes = [outcome(publisher, queue=Queue("gone")), *(outcome(publisher) for _ in range(LIMIT + 1))]
    # The last would read as accepted if it took the confirm that follows the returned message for its own.
    assert outcomes == ["Unroutable", *["accepted"] * LIMIT, "QueueFull"]
    with pytest.raises(Unroutable, match=r"gone"):
        publisher.publish("t", queue=Queue("gone"))


def test_an_exchange_that_is_not_there_is_unroutable_too(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    publisher = Publisher(app, connections=1)
    assert outcome(publisher, exchange="gone", routing_key="x") == "Unroutable"
    assert outcome(publisher) == "accepted"


def test_publish_waits_until_there_is_room(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            take(app, "io")

    publisher = Publisher(app, sleep=wait)
    for _ in range(LIMIT):
        publisher.publish("t")
    publisher.publish("t", task_id="late")
    assert publisher.counters["retried"] == len(waits) == 3
    assert publisher.counters["accepted"] == LIMIT + 1
    assert depth(app, "io") == LIMIT


def test_publish_gives_up_at_its_deadline(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    waits: list[float] = []
    publisher = Publisher(
        app, backoff=Backoff(first_seconds=1, max_seconds=4, jitter=0), clock=lambda: sum(waits), sleep=waits.append
    )
    for _ in range(LIMIT):
        publisher.publish("t")
    with pytest.raises(QueueFull) as caught:
        publisher.publish("t", deadline_seconds=12)
    assert waits == [1, 2, 4, 4]  # the next attempt would be after 15 s
    assert caught.value.attempts == 5
    assert publisher.counters["gave_up"] == 1


def test_a_broker_that_goes_silent_is_given_up_on_and_found_again(proxy: Proxy) -> None:
    app = make_app(proxy.url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS)
    publisher.attempt("t")
    proxy.swallow_answers = True
    with pytest.raises(Unconfirmed):  # it ends while the broker is still silent
        publisher.attempt("t", task_id="maybe")
    proxy.swallow_answers = False
    publisher.attempt("t")
    assert depth(app, "io") == 3  # the unconfirmed one had arrived


def test_a_connection_cut_between_message_and_confirm_leaves_the_outcome_open(proxy: Proxy) -> None:
    app = make_app(proxy.url, io={})
    publisher = Publisher(app, backoff=Backoff(first_seconds=0.05, max_seconds=0.1))
    publisher.attempt("t")
    proxy.swallow_answers = True
    threading.Timer(0.3, proxy.cut).start()
    with pytest.raises(Unconfirmed):
        publisher.attempt("t", task_id="maybe")
    proxy.swallow_answers = False
    publisher.publish("t", task_id="maybe")
    assert [take(app, "io") for _ in range(4)][1:] == ["maybe", "maybe", None]  # twice: hence idempotent tasks


def test_an_idle_connection_that_was_cut_costs_nothing(proxy: Proxy) -> None:
    app = make_app(proxy.url, io={})
    publisher = Publisher(app)
    publisher.attempt("t")
    proxy.cut()
    time.sleep(1.1)  # longer than a connection is trusted unseen
    publisher.attempt("t")
    assert publisher.counters["unconfirmed"] == 0
    assert depth(app, "io") == 2


def test_a_broker_that_is_not_there_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(kombu.utils.functional, "sleep", waits.append)  # between attempts to connect
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    publisher = Publisher(Celery(broker=f"amqp://127.0.0.1:{port}//", set_as_current=False))
    with pytest.raises(Unreachable, match=r"refused"):
        publisher.attempt("t")
    assert waits == []
    assert publisher.counters["unreachable"] == 1


def test_a_wrong_password_is_unreachable_and_not_shown(vhost_broker: Broker) -> None:
    parts = urlsplit(vhost_broker.amqp_url)
    url = parts._replace(netloc=f"guest:sesame@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(Unreachable) as caught:
        Publisher(Celery(broker=url, set_as_current=False)).attempt("t")
    assert "sesame" not in str(caught.value)


@ALONE
def test_a_broker_stopped_in_the_middle_does_not_hang_the_publisher(own_vhost_broker: Broker) -> None:
    if own_vhost_broker.pid is None:
        pytest.skip("the broker is not ours to stop")
    app = make_app(own_vhost_broker.amqp_url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS, backoff=Backoff(first_seconds=0.1, max_seconds=0.5))
    publisher.attempt("t")
    with standing_still(own_vhost_broker.pid), pytest.raises(Unconfirmed):
        publisher.publish("t", task_id="maybe", deadline_seconds=2)
    publisher.publish("t", task_id="sure", deadline_seconds=20)
    taken = {take(app, "io") for _ in range(depth(app, "io"))}
    assert "sure" in taken


@ALONE
def test_a_memory_alarm_does_not_hang_the_publisher(own_vhost_broker: Broker) -> None:
    app = make_app(own_vhost_broker.amqp_url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS)
    rabbitmqctl(own_vhost_broker, "set_vm_memory_high_watermark", "absolute", "1000000")
    try:
        outcomes, ends_at = ["accepted"], time.monotonic() + 20
        while outcomes[-1] == "accepted" and time.monotonic() < ends_at:  # the node looks at its memory now and then
            outcomes.append(outcome(publisher))
            time.sleep(0.1)
    finally:
        rabbitmqctl(own_vhost_broker, "set_vm_memory_high_watermark", "0.4")
    assert outcomes[-1] == "Unconfirmed"
    publisher.publish("t", deadline_seconds=20)


def test_threads_share_the_connections_and_each_hears_its_own_verdict(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={}, small=limited())
    app.amqp.queues  # noqa: B018 - Celery builds it on first use, without a lock
    before = local_ports(vhost_broker.amqp_url)
    publisher = Publisher(app, connections=3)
    results: list[str] = []

    def work(queue: str) -> None:
        results.extend(f"{queue} {outcome(publisher, queue=queue)}" for _ in range(25))

    threads = [threading.Thread(target=work, args=(queue,)) for queue in ("io", "small") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.count("io accepted") == 100
    assert results.count("small accepted") == LIMIT
    assert results.count("small QueueFull") == 100 - LIMIT
    assert len(local_ports(vhost_broker.amqp_url) - before) <= 3


GEVENT = """
import gevent.monkey; gevent.monkey.patch_all()
import sys, gevent
from celery import Celery
from kombu import Queue
from celery_workers import Publisher, QueueFull

app = Celery(broker=sys.argv[1])
app.conf.task_queues = [Queue("io"), Queue("small")]  # only for routing; the publisher declares nothing
publisher = Publisher(app, connections=4, timeout_seconds=5)
seen = []

def work(queue):
    for _ in range(10):
        try:
            publisher.attempt("t", queue=queue)
            seen.append(queue + " accepted")
        except QueueFull:
            seen.append(queue + " full")

victims = [gevent.spawn(work, "io") for _ in range(4)]
gevent.sleep(0)  # each is now waiting for a connection or a confirm
gevent.killall(victims)
killed = len(seen)
gevent.joinall([gevent.spawn(work, queue) for queue in ("io", "small") * 20], raise_error=True)
assert seen[killed:].count("io accepted") == 200, seen
assert seen[killed:].count("small accepted") == 5, seen
assert seen[killed:].count("small full") == 195, seen
"""

FORK = """
import os, sys
from celery import Celery
from celery_workers import Publisher

app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "io"
publisher = Publisher(app, connections=1)
publisher.attempt("t", task_id="parent 1")
child = os.fork()
if child == 0:
    publisher.attempt("t", task_id="child")
    publisher.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
publisher.attempt("t", task_id="parent 2")
assert publisher.counters["accepted"] == 2 and publisher.counters["unconfirmed"] == 0
"""


def test_greenlets_share_the_connections_and_a_killed_one_spoils_nothing(vhost_broker: Broker) -> None:
    make_app(vhost_broker.amqp_url, io={}, small=limited())
    run_script(GEVENT, vhost_broker.amqp_url)


def test_a_forked_child_opens_its_own_connection(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    run_script(FORK, vhost_broker.amqp_url)
    assert [take(app, "io") for _ in range(3)] == ["parent 1", "child", "parent 2"]


def test_a_message_that_cannot_be_serialised_is_the_callers_own_error(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    publisher = Publisher(app)
    with pytest.raises(Exception, match=r"serializable"):
        publisher.publish("t", kwargs={"x": object()})
    publisher.attempt("t")
    assert depth(app, "io") == 1
