"""The outbox on SQLite and on a real PostgreSQL, its relay with a real RabbitMQ."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from celery import Celery
from kombu import Queue
from sqlalchemy.orm import Session

from celery_workers import FAIL_FAST, Backoff, Publisher, QueueFull, TaskCall, Topology
from celery_workers.outbox import Outbox, Relay, Relayed
from harness.broker.server import Broker
from tests.local.publishing import LIMIT, depth, drain, limited, make_app

QUICK = Backoff(first_seconds=0.05, max_seconds=0.2)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the outbox's table."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path / 'outbox.db'}"
    else:
        made = request.getfixturevalue("own_database").url.replace("postgresql://", "postgresql+psycopg://")
    engine = sa.create_engine(made)
    Outbox().create(engine)
    engine.dispose()
    return made


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    opened = sa.create_engine(url)
    yield opened
    opened.dispose()


def rows(engine: sa.Engine) -> list[Any]:
    table = Outbox().table
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.id)).all())


def add(engine: sa.Engine, count: int, **options: Any) -> None:
    with engine.begin() as connection:
        for number in range(count):
            Outbox().add(connection, "t", kwargs={"n": number}, task_id=f"{number}", **options)


def test_a_task_is_there_with_the_transaction_or_not_at_all(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    relay = Relay(engine, Publisher(app))
    outbox = Outbox()
    with Session(engine) as session:
        outbox.add(session, "t", task_id="thought better of")
        session.rollback()
    assert relay.run_once() == Relayed()
    with Session(engine) as session, session.begin():
        task_id = outbox.add(session, "t", args=(1,), kwargs={"a": "b"}, priority=3)
    assert relay.run_once() == Relayed(accepted=1)
    assert drain(app, "io") == [task_id]
    assert rows(engine) == []
    assert relay.run_once() == Relayed()


def test_rows_are_offered_in_the_order_of_their_ids(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    add(engine, 25)
    relay = Relay(engine, Publisher(app))
    assert [relay.run_once(limit=10).accepted for _ in range(4)] == [10, 10, 5, 0]
    assert drain(app, "io") == [str(number) for number in range(25)]


def test_a_full_queue_holds_up_only_its_own_rows(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited(), free={})
    add(engine, LIMIT + 10)
    add(engine, 5, queue="free")
    clock = [1e12]
    relay = Relay(engine, Publisher(app), backoff=Backoff(first_seconds=10, max_seconds=10), clock=lambda: clock[0])
    assert relay.run_once(limit=LIMIT + 10) == Relayed(accepted=LIMIT, waiting=10)
    assert relay.run_once(limit=5) == Relayed(accepted=5)  # the refused ones are not due
    assert depth(app, "free") == 5
    assert {(row.attempts, row.failed_at) for row in rows(engine)} == {(1, None)}
    drain(app, "io")
    clock[0] += 10
    assert relay.run_once(limit=LIMIT) == Relayed(accepted=LIMIT)
    assert drain(app, "io") == [str(number) for number in range(LIMIT, 2 * LIMIT)]


def test_what_can_never_be_accepted_is_marked_and_blocks_nothing(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    outbox = Outbox()
    with engine.begin() as connection:
        outbox.add(connection, "t", task_id="nowhere", queue="gone")
        outbox.add(connection, "t", task_id="no exchange", exchange="gone", routing_key="x")
        outbox.add(connection, "t", task_id="no such format", serializer="gone")
        outbox.add(connection, "t", task_id="good")
    relay = Relay(engine, Publisher(app))
    assert relay.run_once() == Relayed(accepted=1, failed=3)
    assert relay.run_once() == Relayed()
    assert [row.task_id for row in rows(engine)] == ["nowhere", "no exchange", "no such format"]
    assert all(row.failed_at for row in rows(engine))
    assert "gone" in rows(engine)[0].error
    assert drain(app, "io") == ["good"]


def test_what_a_dead_letter_queue_keeps_is_not_offered_again(vhost_broker: Broker, engine: sa.Engine) -> None:
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "cpu.dead"}
    app = make_app(vhost_broker.amqp_url, cpu=limited("reject-publish-dlx", **dead), **{"cpu.dead": {}})
    add(engine, LIMIT + 2)
    relay = Relay(engine, Publisher(app, topology=Topology(frozenset({"cpu"}))))
    assert relay.run_once() == Relayed(accepted=LIMIT, failed=2)
    assert relay.run_once() == Relayed()
    assert depth(app, "cpu.dead") == 2


def test_a_broker_that_is_away_leaves_the_rows_as_they_are(engine: sa.Engine, closed_port: int) -> None:
    add(engine, 3)
    away = Celery(broker=f"amqp://127.0.0.1:{closed_port}//", set_as_current=False)
    relay = Relay(engine, Publisher(away))
    assert relay.run_once() == Relayed(waiting=3)
    assert relay.run_once() == Relayed(waiting=3)  # still due
    assert "refused" in rows(engine)[0].error


CRASHING = """
import os, signal, sys
import sqlalchemy as sa
from celery import Celery
from celery_workers import Publisher
from celery_workers.outbox import Relay

class Crashing(Publisher):
    def publish_many(self, *args, **options):
        yield from super().publish_many(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)  # all is confirmed, no row is removed yet

app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "io"
Relay(sa.create_engine(sys.argv[2]), Crashing(app)).run_once()
"""


def test_a_relay_that_dies_before_it_removes_its_rows_gives_the_same_ids_again(
    vhost_broker: Broker, engine: sa.Engine, url: str
) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    add(engine, 20)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", CRASHING, vhost_broker.amqp_url, url]
    died = subprocess.run(command, env=environment, timeout=60, check=False)
    assert died.returncode < 0
    ids = [str(number) for number in range(20)]
    assert drain(app, "io") == ids
    assert len(rows(engine)) == 20
    assert Relay(engine, Publisher(app)).run_once() == Relayed(accepted=20)  # at once: its locks went with it
    assert drain(app, "io") == ids


def test_several_relays_publish_each_task_once(vhost_broker: Broker, url: str) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    filling = sa.create_engine(url)
    add(filling, 400)
    stop, engines, errors = threading.Event(), [sa.create_engine(url) for _ in range(3)], []

    def work(own: sa.Engine) -> None:
        try:
            Relay(own, Publisher(app)).run(stop, limit=20, idle_seconds=0.05)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(own,)) for own in engines]
    for thread in threads:
        thread.start()
    waited = threading.Event()
    for _ in range(600):
        if not rows(filling) or errors:
            break
        waited.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sorted(drain(app, "io"), key=int) == [str(number) for number in range(400)]
    for own in (*engines, filling):
        own.dispose()


def test_rows_one_relay_has_in_hand_are_skipped_by_another(vhost_broker: Broker, engine: sa.Engine) -> None:
    """On PostgreSQL; on SQLite the other one waits for the write lock instead."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer")
    app = make_app(vhost_broker.amqp_url, io={})
    add(engine, 6)
    table = Outbox().table
    with engine.begin() as other:
        other.execute(sa.select(table).order_by(table.c.id).limit(4).with_for_update()).all()
        assert Relay(engine, Publisher(app)).run_once() == Relayed(accepted=2)
    assert Relay(engine, Publisher(app)).run_once() == Relayed(accepted=4)


def test_the_loop_waits_out_a_broker_that_comes_back(vhost_broker: Broker, engine: sa.Engine, closed_port: int) -> None:
    present = make_app(vhost_broker.amqp_url, io={})
    app = Celery(broker=f"amqp://127.0.0.1:{closed_port}//", set_as_current=False)
    app.conf.task_default_queue = "io"
    add(engine, 5)
    stop = threading.Event()
    relay = Relay(engine, Publisher(app), backoff=QUICK)
    loop = threading.Thread(target=relay.run, args=(stop,), kwargs={"idle_seconds": 0.05})
    loop.start()
    try:
        for _ in range(200):
            if any(row.attempts > 1 for row in rows(engine)):
                break
            threading.Event().wait(0.05)
        assert rows(engine)[0].attempts > 1
        app.conf.broker_write_url = vhost_broker.amqp_url
        for _ in range(400):
            if not rows(engine):
                break
            threading.Event().wait(0.05)
        assert rows(engine) == []
    finally:
        stop.set()
        loop.join(30)
    assert not loop.is_alive()
    assert drain(present, "io") == [str(number) for number in range(5)]


def test_a_refused_task_goes_to_the_outbox_when_the_caller_says_so(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io=limited())
    publisher, outbox = Publisher(app), Outbox()
    for _ in range(LIMIT):
        publisher.publish("t")
    with Session(engine) as session, session.begin():
        publisher.publish("t", task_id="single", when_full=outbox.within(session))
    with pytest.raises(QueueFull):
        publisher.publish("t", when_full=FAIL_FAST)
    many = publisher.publish_many([TaskCall("t", task_id="one of many")], when_full=outbox.within(engine))
    assert [outcome.status for outcome in many] == ["kept"]
    assert [row.task_id for row in rows(engine)] == ["single", "one of many"]
    drain(app, "io")
    assert Relay(engine, publisher).run_once() == Relayed(accepted=2)
    assert drain(app, "io") == ["single", "one of many"]


def test_a_countdown_runs_from_the_time_it_was_added(vhost_broker: Broker, engine: sa.Engine) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    then = datetime.now(UTC) - timedelta(minutes=5)
    with engine.begin() as connection:
        Outbox(clock=then.timestamp).add(connection, "t", countdown=60, expires=3600, queue=Queue("io"))
    Relay(engine, Publisher(app)).run_once()
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get("io", no_ack=True)
    assert datetime.fromisoformat(message.headers["eta"]) == then + timedelta(seconds=60)
    assert datetime.fromisoformat(message.headers["expires"]) == then + timedelta(hours=1)


def test_what_json_cannot_hold_is_refused_before_the_commit(engine: sa.Engine) -> None:
    with engine.begin() as connection, pytest.raises(TypeError, match="not JSON serializable"):
        Outbox().add(connection, "t", kwargs={"x": object()})
    assert rows(engine) == []


def test_what_cannot_take_a_row_is_refused_by_name(engine: sa.Engine) -> None:
    class AsyncSession:
        async def execute(self, statement: object) -> None:
            """Would write nothing until somebody awaits it."""

    for wrong in (engine, AsyncSession()):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
            Outbox().add(wrong, "t")


def test_a_relay_refuses_a_database_whose_locks_it_does_not_know() -> None:
    engine = sa.create_mock_engine("oracle://", lambda *_: None)
    with pytest.raises(ValueError, match="not on oracle"):
        Relay(engine, Publisher(Celery(broker="memory://", set_as_current=False)))


DJANGO = """
import sys
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[2]}}, USE_TZ=True)
django.setup()
from django.db import connection, transaction
import sqlalchemy as sa
from celery import Celery
from celery_workers import Publisher
from celery_workers.outbox import Outbox, Relay, Relayed

outbox = Outbox()
with connection.cursor() as cursor:
    cursor.execute(outbox.ddl("sqlite"))  # a migration would
    cursor.execute("CREATE TABLE orders (id INTEGER)")

def order(number, fail=False):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (%s)", [number])
        outbox.add(cursor, "mail.confirm", kwargs={"order": number}, task_id=f"order {number}")
        if fail:
            raise LookupError

order(1)
try:
    order(2, fail=True)
except LookupError:
    pass
app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "io"
assert Relay(sa.create_engine(f"sqlite:///{sys.argv[2]}"), Publisher(app)).run_once() == Relayed(accepted=1)
"""


def test_django_writes_in_its_own_transaction(vhost_broker: Broker, tmp_path: Path) -> None:
    app = make_app(vhost_broker.amqp_url, io={})
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", DJANGO, vhost_broker.amqp_url, str(tmp_path / "django.db")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert drain(app, "io") == ["order 1"]
