"""`publish_many` on a real RabbitMQ: refusals, lost connections, silence, a killed broker, a killed publisher."""

from __future__ import annotations

import itertools
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from celery import Celery, Signature, chain
from kombu import Exchange, Queue

from celery_workers import FAIL_FAST, Backoff, Outcome, Publisher, TaskCall, Topology, Unconfirmed, Unsendable, Wait
from harness import processes
from harness.broker.management import dead_letters
from harness.broker.node import find_server
from harness.broker.server import Broker, acquire
from harness.broker.urls import accepts_tcp, parse_amqp
from tests.local.keeper import ALONE
from tests.local.publishing import (
    LIMIT,
    SHORT_SECONDS,
    Proxy,
    depth,
    drain,
    limited,
    make_app,
    rabbitmqctl,
    run_script,
    take,
)
from tests.local.standing_still import standing_still
from tests.local.tls_front import make_certificates, tls_front

QUICK = Backoff(first_seconds=0.05, max_seconds=0.2)


def calls(count: int, **options: Any) -> Iterator[TaskCall]:
    """Tasks whose ids are their numbers."""
    return (TaskCall("t", kwargs={"n": n}, task_id=str(n), options=options) for n in range(count))


def statuses(outcomes: Iterator[Outcome]) -> Counter[str]:
    return Counter(outcome.status for outcome in outcomes)


@pytest.fixture
def proxy(vhost_broker: Broker) -> Iterator[Proxy]:
    opened = Proxy(vhost_broker.amqp_url)
    yield opened
    opened.close()


def test_each_task_has_one_outcome_and_is_in_its_queue(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={}, cpu={})
    publisher = Publisher(app)
    tasks = (call for pair in zip(calls(1000, queue="io"), calls(1000, queue="cpu"), strict=True) for call in pair)
    outcomes = list(publisher.publish_many(tasks, window=100))
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert sorted(outcome.position for outcome in outcomes) == list(range(2000))
    assert sorted(drain(app, "io"), key=int) == [str(n) for n in range(1000)]
    assert depth(app, "cpu") == 1000
    assert publisher.counters["accepted"] == 2000
    assert publisher.counters.by_queue()["cpu"]["accepted"] == 1000


def test_a_message_is_celerys_own(vhost_broker: Broker) -> None:
    """The one of `publish` and the one of `publish_many` differ by nothing but their ids."""
    app = make_app(vhost_broker.amqp_url, io={"x-max-priority": 9}, cpu={"x-max-priority": 9})
    app.conf.task_routes = {"mail.*": {"queue": "cpu", "priority": 6}}
    options = {"headers": {"tenant": "7"}, "expires": 600, "time_limit": 20}
    publisher = Publisher(app)
    publisher.publish("mail.send", args=(1,), kwargs={"a": "b"}, task_id="one", **options)
    assert statuses(publisher.publish_many([TaskCall("mail.send", (1,), {"a": "b"}, "many", options)])) == {
        "accepted": 1
    }
    with app.connection_for_read() as connection:
        one, many = (connection.default_channel.basic_get("cpu", no_ack=True) for _ in range(2))
    assert one.body == many.body
    told = ("id", "root_id", "expires")
    assert {key: value for key, value in one.headers.items() if key not in told} == {
        key: value for key, value in many.headers.items() if key not in told
    }
    assert (many.headers["id"], many.headers["task"], many.properties["priority"]) == ("many", "mail.send", 6)
    assert one.properties["delivery_mode"] == many.properties["delivery_mode"] == 2


def test_signatures_are_taken_and_canvases_are_not(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    publisher = Publisher(app)
    one = Signature("t", kwargs={"a": 1}, app=app).set(task_id="from a signature", queue="io")
    outcomes = []
    with pytest.raises(TypeError, match=r"not a chain"):
        outcomes += publisher.publish_many([one, chain(one, one, app=app)])
    assert take(app, "io") == "from a signature"  # what came before has been sent


def test_a_full_queue_refuses_what_it_cannot_hold(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited(), free={})
    publisher = Publisher(app)
    tasks = itertools.chain(calls(100), calls(100, queue="free"))
    found = statuses(publisher.publish_many(tasks, when_full=FAIL_FAST))
    assert found == {"accepted": LIMIT + 100, "full": 100 - LIMIT}
    assert depth(app, "io") == LIMIT
    assert publisher.counters.by_queue()["io"]["refused"] == 100 - LIMIT
    assert publisher.counters["gave_up"] == 100 - LIMIT


def test_refused_tasks_go_again_under_their_ids_until_there_is_room(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    publisher = Publisher(app, backoff=QUICK)
    taken: list[str] = []

    def make_room() -> None:
        while len(taken) < 40:
            taken.extend(drain(app, "io"))
            time.sleep(0.05)

    worker = threading.Thread(target=make_room, daemon=True)
    worker.start()
    outcomes = list(publisher.publish_many(calls(40), window=20, deadline_seconds=60))
    worker.join(30)
    assert all(outcome.accepted for outcome in outcomes)
    assert max(outcome.attempts for outcome in outcomes) > 1
    assert sorted(taken, key=int) == [str(n) for n in range(40)]  # each once
    assert publisher.counters["retried"] == publisher.counters["refused"] > 0


def test_a_task_is_given_up_when_its_own_wait_is_over(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    publisher = Publisher(app, backoff=QUICK)
    outcomes = list(publisher.publish_many(calls(LIMIT + 3), when_full=Wait(0.5)))
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    assert [outcome.status for outcome in refused] == ["full"] * 3
    assert all(outcome.attempts > 1 and outcome.error.attempts == outcome.attempts for outcome in refused)


def test_what_the_dead_letter_queue_keeps_is_not_offered_again(vhost_broker: Broker) -> None:
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "cpu.dead"}
    app = make_app(vhost_broker.amqp_url, cpu=limited("reject-publish-dlx", **dead), **{"cpu.dead": {}})
    publisher = Publisher(app, topology=Topology(frozenset({"cpu"})), backoff=QUICK)
    outcomes = list(publisher.publish_many(calls(200), deadline_seconds=60))
    assert statuses(iter(outcomes)) == {"accepted": LIMIT, "stored": 200 - LIMIT}
    assert {outcome.attempts for outcome in outcomes} == {1}
    kept = {outcome.task_id for outcome in outcomes if outcome.status == "stored"}
    assert sorted(drain(app, "cpu.dead")) == sorted(kept)
    assert publisher.counters["refused_stored"] == 200 - LIMIT


def test_what_a_quorum_queue_refuses_is_stored_on_the_way(vhost_broker: Broker) -> None:
    arguments = {"x-queue-type": "quorum", "x-max-length": LIMIT, "x-overflow": "reject-publish"}
    app = make_app(vhost_broker.amqp_url, cpu=arguments, **{"cpu.dead": {}})
    publisher = Publisher(app, topology=Topology(refused_to={"cpu": "cpu.dead"}))
    outcomes = list(publisher.publish_many(calls(200, queue="cpu"), window=20))
    stored = {outcome.task_id for outcome in outcomes if outcome.status == "stored"}
    assert {outcome.status for outcome in outcomes} == {"accepted", "stored"}
    assert sorted(outcome.position for outcome in outcomes) == list(range(200))
    letters = dead_letters(vhost_broker.amqp_url, "cpu.dead")
    assert len(letters) == len(stored)
    assert {(one.id, one.queue, one.reason) for one in letters} == {(task, "cpu", "refused") for task in stored}
    assert publisher.counters["refused_stored"] == publisher.counters["refused"] == len(stored)


def test_a_queue_that_is_not_there_spoils_nothing_beside_it(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    tasks = (TaskCall("t", task_id=str(n), options={"queue": Queue("gone")} if n % 3 else {}) for n in range(300))
    outcomes = {outcome.task_id: outcome for outcome in Publisher(app).publish_many(tasks)}
    assert {n for n in range(300) if outcomes[str(n)].accepted} == set(range(0, 300, 3))
    assert outcomes["1"].status == "unroutable"
    assert "gone" in str(outcomes["1"].error)
    assert depth(app, "io") == 100


def test_an_exchange_that_is_not_there_is_found_among_the_others(vhost_broker: Broker) -> None:
    """The broker closes the channel for it and does not say which message it was."""
    app = make_app(vhost_broker.amqp_url, io={})
    lost = {"exchange": Exchange("gone"), "routing_key": "x"}
    tasks = (TaskCall("t", task_id=str(n), options=lost if n in (7, 30) else {}) for n in range(40))
    outcomes = {outcome.task_id: outcome for outcome in Publisher(app).publish_many(tasks, deadline_seconds=0)}
    assert {task_id for task_id, outcome in outcomes.items() if outcome.status == "unroutable"} == {"7", "30"}
    assert all(outcomes[str(n)].accepted for n in range(40) if n not in (7, 30))
    assert set(drain(app, "io")) == {str(n) for n in range(40)} - {"7", "30"}


def test_a_message_that_cannot_be_made_is_an_outcome_too(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    tasks = [TaskCall("t", task_id="good"), TaskCall("t", kwargs={"x": object()}), TaskCall("t", task_id="fine")]
    outcomes = sorted(Publisher(app).publish_many(tasks), key=lambda outcome: outcome.position)
    assert [outcome.status for outcome in outcomes] == ["accepted", "unsendable", "accepted"]
    assert isinstance(outcomes[1].error, Unsendable)
    assert "serializable" in str(outcomes[1].error)
    assert drain(app, "io") == ["good", "fine"]


def test_the_events_celery_sends_about_a_task_are_not_taken_for_tasks(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    app.conf.task_send_sent_event = True
    with app.connection_for_write() as connection:
        connection.default_channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
    outcomes = list(Publisher(app).publish_many(calls(LIMIT + 5), when_full=FAIL_FAST))
    accepted = {outcome.task_id for outcome in outcomes if outcome.accepted}
    assert len(outcomes) == LIMIT + 5
    assert sorted(accepted) == sorted(drain(app, "io"))


def test_the_input_is_read_no_further_than_the_window(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    read = 0

    def endless() -> Iterator[TaskCall]:
        nonlocal read
        while True:
            read += 1
            yield TaskCall("t")

    publisher = Publisher(app, connections=1)
    outcomes = publisher.publish_many(endless(), window=10)
    assert read == 0
    furthest = 0
    for seen, _ in enumerate(itertools.islice(outcomes, 3000), 1):
        furthest = max(furthest, read - seen)
    assert furthest <= 2 * 10  # a window under way, and one of answers that came together
    outcomes.close()
    assert statuses(publisher.publish_many(calls(1))) == {"accepted": 1}  # the only connection is free again


def test_what_was_sent_is_not_held_back_by_an_input_that_takes_its_time(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})

    def slow() -> Iterator[TaskCall]:
        for sent, more in ((0, 1), (1, 3), (4, 6), (10, 1)):
            processes.wait_until(
                lambda wanted=sent: depth(app, "io") == wanted, timeout_seconds=20, what=f"{sent} tasks in the queue"
            )
            yield from calls(more)

    assert statuses(Publisher(app).publish_many(slow())) == {"accepted": 11}


def test_what_the_input_raises_comes_after_the_outcomes_of_what_was_sent(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})

    def broken() -> Iterator[TaskCall]:
        yield from calls(5)
        raise OSError("the file ended")

    outcomes = Publisher(app).publish_many(broken())
    assert [next(outcomes).status for _ in range(5)] == ["accepted"] * 5
    with pytest.raises(OSError, match="the file ended"):
        next(outcomes)


def test_a_silent_broker_ends_in_unconfirmed_outcomes(proxy: Proxy) -> None:
    app = make_app(proxy.url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS)
    outcomes = publisher.publish_many(itertools.chain(calls(1), calls(50)), window=50, deadline_seconds=0)
    first = next(outcomes)
    assert first.accepted
    proxy.swallow_answers = True
    started = time.monotonic()
    rest = list(outcomes)
    assert time.monotonic() - started < SHORT_SECONDS * 20
    assert len(rest) == 50
    assert "unconfirmed" in {outcome.status for outcome in rest}
    assert {outcome.status for outcome in rest} <= {"accepted", "unconfirmed", "unreachable"}
    assert all(isinstance(o.error, Unconfirmed) for o in rest if o.status == "unconfirmed")


def test_what_a_cut_connection_left_unanswered_goes_again_under_the_same_id(proxy: Proxy) -> None:
    app = make_app(proxy.url, io={})
    publisher = Publisher(app, backoff=QUICK, timeout_seconds=10)
    outcomes = publisher.publish_many(calls(3000), window=50, deadline_seconds=60)
    seen = [next(outcomes) for _ in range(500)]
    proxy.cut()
    seen += outcomes
    assert [outcome.status for outcome in seen] == ["accepted"] * 3000
    assert publisher.counters["unconfirmed"] > 0
    arrived = drain(app, "io")
    assert set(arrived) == {str(n) for n in range(3000)}
    assert len(arrived) - 3000 <= publisher.counters["unconfirmed"]  # a second copy only where there was doubt


def test_a_broker_that_is_not_there_fails_a_whole_window_at_once(closed_port: int) -> None:
    app = Celery(broker=f"amqp://127.0.0.1:{closed_port}//", set_as_current=False)
    publisher = Publisher(app, backoff=QUICK)
    started = time.monotonic()
    assert statuses(publisher.publish_many(calls(300), window=100, deadline_seconds=0)) == {"unreachable": 300}
    assert time.monotonic() - started < 20
    assert publisher.counters["unreachable"] == 300


@ALONE
def test_a_stopped_broker_does_not_hang_the_publisher(own_vhost_broker: Broker) -> None:
    """It takes bytes until the sockets are full: the write has its limit as well as the answer."""
    if own_vhost_broker.pid is None:
        pytest.skip("the broker is not ours to stop")
    app = make_app(own_vhost_broker.amqp_url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS)
    large = (TaskCall("t", kwargs={"x": "x" * 100_000}) for _ in range(200))
    outcomes = publisher.publish_many(itertools.chain(calls(1), large), window=500, deadline_seconds=0)
    assert next(outcomes).accepted
    with standing_still(own_vhost_broker.pid):
        started = time.monotonic()
        found = statuses(outcomes)
        assert time.monotonic() - started < SHORT_SECONDS * 20
    assert set(found) <= {"unconfirmed", "unreachable", "accepted"}
    assert found["unconfirmed"] > 0
    assert sum(found.values()) == 200


def test_many_tasks_go_through_tls(vhost_broker: Broker, tmp_path: Path) -> None:
    """Its sockets buffer what they have read and time out in words of their own."""
    make_app(vhost_broker.amqp_url, io={})
    parts = urlsplit(vhost_broker.amqp_url)
    assert parts.port
    ca, certificate, key = make_certificates(tmp_path / "ca")
    with tls_front(certificate, key, parts.port) as port:
        credentials = parts.netloc.rpartition("@")[0]
        app = Celery(
            broker=parts._replace(scheme="amqps", netloc=f"{credentials}@127.0.0.1:{port}").geturl(),
            set_as_current=False,
        )
        app.conf.broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": str(ca)}
        app.conf.task_default_queue = "io"
        tasks = (TaskCall("t", kwargs={"x": "x" * 3000}) for _ in range(1000))
        publisher = Publisher(app)
        assert statuses(publisher.publish_many(tasks)) == {"accepted": 1000}
        assert publisher.counters["unconfirmed"] == 0
        publisher.close()
    assert depth(make_app(vhost_broker.amqp_url, io={}), "io") == 1000


@pytest.mark.full
@ALONE
def test_a_memory_alarm_does_not_hang_the_publisher(own_vhost_broker: Broker) -> None:
    """The broker reads no more from connections that publish, and says so in a word that is no answer."""
    app = make_app(own_vhost_broker.amqp_url, io={})
    publisher = Publisher(app, timeout_seconds=SHORT_SECONDS, backoff=QUICK)
    rabbitmqctl(own_vhost_broker, "set_vm_memory_high_watermark", "absolute", "1000000")
    try:
        found: Counter[str] = Counter()
        ends_at = time.monotonic() + 20
        while "unconfirmed" not in found and time.monotonic() < ends_at:  # the node looks at its memory now and then
            started = time.monotonic()
            found += statuses(publisher.publish_many(calls(50), deadline_seconds=0))
            assert time.monotonic() - started < SHORT_SECONDS * 10
    finally:
        rabbitmqctl(own_vhost_broker, "set_vm_memory_high_watermark", "0.4")
    assert found["unconfirmed"] > 0
    assert statuses(publisher.publish_many(calls(50), deadline_seconds=60)) == {"accepted": 50}


@pytest.mark.full
@pytest.mark.timeout(240)  # a node starts twice
def test_no_confirmed_task_is_lost_when_the_broker_is_killed_and_started_again(tmp_path: Path) -> None:
    with acquire(tmp_path / "broker") as broker:
        if broker.pid is None:
            pytest.skip("the broker is not ours to kill")
        app = make_app(broker.amqp_url, io={})
        publisher = Publisher(app, backoff=QUICK, timeout_seconds=10)
        outcomes = publisher.publish_many(calls(2000), window=200, deadline_seconds=90)
        seen = [next(outcomes) for _ in range(500)]
        node = psutil.Process(broker.pid)
        environment = node.environ()
        os.kill(broker.pid, signal.SIGKILL)
        processes.wait_until(
            lambda: not node.is_running() or node.status() == psutil.STATUS_ZOMBIE, timeout_seconds=20, what="its end"
        )
        again = processes.start([str(find_server())], log=tmp_path / "again.log", env=environment, cwd=tmp_path)
        try:
            seen += outcomes
            assert {outcome.status for outcome in seen} == {"accepted"}
            assert {outcome.task_id for outcome in seen} == {str(n) for n in range(2000)}
            address = parse_amqp(broker.amqp_url, source="the broker")
            assert accepts_tcp(address.host, address.port)
            assert set(drain(app, "io")) == {str(n) for n in range(2000)}
        finally:
            processes.stop(again, grace_seconds=5)


PUBLISHER = """
import sys
from pathlib import Path
from celery import Celery
from celery_workers import Publisher, TaskCall

journal = Path(sys.argv[2])
done = set(journal.read_text().split()) if journal.exists() else set()
app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "io"
calls = (TaskCall("t", task_id=str(n)) for n in range(2000) if str(n) not in done)
with journal.open("a", buffering=1) as lines:
    for outcome in Publisher(app).publish_many(calls, window=100):
        assert outcome.accepted, outcome
        lines.write(outcome.task_id + "\\n")
"""


def test_a_publisher_that_is_killed_and_started_again_loses_no_task(vhost_broker: Broker, tmp_path: Path) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    journal = tmp_path / "accepted"
    command = [sys.executable, "-c", PUBLISHER, vhost_broker.amqp_url, str(journal)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment) as first:
        processes.wait_until(
            lambda: journal.exists() and journal.read_text().count("\n") > 200,
            timeout_seconds=60,
            what="200 tasks",
            process=first,
        )
        first.kill()
    reported = set(journal.read_text().split("\n")[:-1])  # the last line may be half written
    assert len(reported) < 2000
    arrived = drain(app, "io")
    assert reported <= set(arrived)
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert set(arrived) | set(drain(app, "io")) == {str(n) for n in range(2000)}


GEVENT = """
import gevent.monkey; gevent.monkey.patch_all()
import sys, gevent
from celery import Celery
from kombu import Queue
from celery_workers import FAIL_FAST, Publisher, TaskCall, Unreachable

app = Celery(broker=sys.argv[1])
app.conf.task_queues = [Queue("io"), Queue("small")]
publisher = Publisher(app, connections=4, timeout_seconds=20)
seen = []

def bulk(queue):
    calls = (TaskCall("t", options={"queue": queue}) for _ in range(20))
    seen.extend(queue + " " + outcome.status for outcome in publisher.publish_many(calls, when_full=FAIL_FAST))

def single():
    publisher.publish("t", queue="io")
    seen.append("io accepted")

victims = [gevent.spawn(bulk, "io") for _ in range(4)]
gevent.sleep(0.01)
gevent.killall(victims)
killed = len(seen)
ticks = []
ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0.01)) for _ in range(10_000)])
jobs = [gevent.spawn(bulk, queue) for queue in ("io", "small") * 50] + [gevent.spawn(single) for _ in range(100)]
gevent.joinall(jobs, raise_error=True)
ticker.kill()
assert seen[killed:].count("io accepted") == 1100, len(seen)
assert seen[killed:].count("small accepted") == 5
assert seen[killed:].count("small full") == 995
assert len(ticks) > 5, "others could not run meanwhile"
"""

FORK = """
import os, sys
from celery import Celery
from celery_workers import Publisher, TaskCall

app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "io"
publisher = Publisher(app, connections=1)

def many(name):
    for outcome in publisher.publish_many(TaskCall("t", task_id=f"{name} {n}") for n in range(100)):
        assert outcome.accepted, outcome

many("parent 1")
child = os.fork()
if child == 0:
    many("child")
    publisher.close()
    os._exit(0)
many("meanwhile")
assert os.waitpid(child, 0)[1] == 0
many("parent 2")
assert publisher.counters["accepted"] == 300 and publisher.counters["unconfirmed"] == 0
"""


def test_two_hundred_greenlets_share_four_connections(vhost_broker: Broker) -> None:
    make_app(vhost_broker.amqp_url, io={}, small=limited())
    run_script(GEVENT, vhost_broker.amqp_url)


def test_a_forked_child_opens_its_own_connection(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    run_script(FORK, vhost_broker.amqp_url)
    names = Counter(task_id.rpartition(" ")[0] for task_id in drain(app, "io"))
    assert names == {"parent 1": 100, "child": 100, "meanwhile": 100, "parent 2": 100}


def test_threads_publish_many_and_single_ones_side_by_side(vhost_broker: Broker) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    app.amqp.queues  # noqa: B018 - Celery builds it on first use, without a lock
    publisher = Publisher(app, connections=2)
    results: list[str] = []

    def work() -> None:
        for outcome in publisher.publish_many(TaskCall("t") for _ in range(50)):
            results.append(outcome.status)
            publisher.publish("t")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == ["accepted"] * 300
    assert depth(app, "io") == 600
