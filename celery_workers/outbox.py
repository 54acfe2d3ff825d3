"""Tasks written in the caller's own database transaction, and the relay that publishes them. Needs the extra `outbox`.

    outbox = Outbox()
    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.add(session, "mail.confirm", kwargs={"order": order.id})

Both are there after the commit, or neither. A relay (`Relay(engine, publisher).run(stop)`, or `run_once` from a beat
task) publishes the rows with confirms and removes them: at least once, always under the same id, so the tasks must bear
being run twice.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from celery import Task, uuid
from kombu.utils.json import dumps, loads
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.schema import CreateTable

from celery_workers.backoff import Backoff, Uniform
from celery_workers.calls import TaskCall
from celery_workers.errors import QueueFull, may_retry
from celery_workers.outcomes import Outcome
from celery_workers.publishing import Publisher
from celery_workers.whenfull import FAIL_FAST

TABLE = "celery_workers_outbox"
SKIPS_LOCKED = frozenset({"postgresql", "mysql", "mariadb"})
"""Databases where one relay leaves alone the rows another one has in hand."""

_log = logging.getLogger(__name__)


class Outbox:
    """A table of tasks to publish. `metadata` is where the table belongs, for migrations by Alembic."""

    def __init__(
        self,
        *,
        table_name: str = TABLE,
        metadata: sa.MetaData | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.metadata = metadata if metadata is not None else sa.MetaData()
        self._clock = clock
        self.table = sa.Table(
            table_name,
            self.metadata,
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
            sa.Column("task_id", sa.String(255), nullable=False),
            sa.Column("task", sa.String(255), nullable=False),
            sa.Column("payload", sa.Text, nullable=False),  # JSON: args, kwargs, options
            sa.Column("added_at", sa.Double, nullable=False),  # seconds since the epoch, as the other times
            sa.Column("due_at", sa.Double, nullable=False),
            sa.Column("attempts", sa.Integer, nullable=False),
            sa.Column("failed_at", sa.Double),  # set: the broker never takes it; a person must look
            sa.Column("error", sa.Text),
        )

    def create(self, bind: Engine | Connection) -> None:
        """Make the table where it is missing."""
        self.metadata.create_all(bind, tables=[self.table])

    def ddl(self, dialect_name: str) -> str:
        """Return the CREATE TABLE statement, for migrations that are not SQLAlchemy's ("postgresql", "sqlite", ...)."""
        dialect = sa.create_mock_engine(f"{dialect_name}://", lambda *_: None).dialect
        return str(CreateTable(self.table, if_not_exists=True).compile(dialect=dialect)).strip()

    def add(
        self,
        connection: Any,
        task: str | Task,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        **options: Any,
    ) -> str:
        """Write a task in the transaction of `connection`; return the task's id.

        `connection` is an SQLAlchemy connection or session, or a DB-API cursor such as Django's. `options` are those of
        `send_task`; a countdown runs from now, not from when the task is published. Raises TypeError for what JSON
        cannot hold, and for a connection that is none of these.
        """
        call = TaskCall(task, args=args, kwargs=kwargs or {}, task_id=task_id or uuid(), options=options)
        _insert(connection, self.table, self._row(call))
        return str(call.task_id)

    def within(self, connection: Any) -> Kept:
        """Return what `when_full` takes: a refused task is added in the transaction of `connection`.

        An engine does as well; each task then has a transaction of its own.
        """
        return Kept(self, connection)

    def _row(self, call: TaskCall) -> dict[str, Any]:
        now = self._clock()
        options = storable(call.options, now=datetime.fromtimestamp(now, UTC))
        return {
            "task_id": call.task_id,
            "task": call.name,
            "payload": dumps({"args": list(call.args), "kwargs": dict(call.kwargs), "options": options}),
            "added_at": now,
            "due_at": now,
            "attempts": 0,
        }


@dataclass(frozen=True)
class Kept:
    """A keeper that writes to an outbox."""

    outbox: Outbox
    connection: Any

    def keep(self, call: TaskCall) -> None:
        """Write the task, whose id is set."""
        if isinstance(self.connection, Engine):
            with self.connection.begin() as connection:
                Kept(self.outbox, connection).keep(call)
            return
        self.outbox.add(
            self.connection, call.task, args=call.args, kwargs=call.kwargs, task_id=call.task_id, **call.options
        )


def storable(options: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return options that mean the same whenever the task is published: times instead of delays, names of queues."""
    stored = dict(options)
    countdown = stored.pop("countdown", None)
    if countdown and not stored.get("eta"):
        stored["eta"] = now + timedelta(seconds=countdown)
    if isinstance(stored.get("expires"), int | float):
        stored["expires"] = now + timedelta(seconds=stored["expires"])
    for key in {"queue", "exchange"} & stored.keys():
        stored[key] = getattr(stored[key], "name", stored[key])
    return stored


def _insert(connection: Any, table: sa.Table, row: Mapping[str, Any]) -> None:
    if isinstance(connection, Connection | Session | scoped_session):
        connection.execute(sa.insert(table).values(**row))
        return
    execute = getattr(connection, "execute", None)
    if execute is None or inspect.iscoroutinefunction(execute):
        raise TypeError(
            "an SQLAlchemy connection or session or a DB-API cursor is needed, not "
            f"{type(connection).__name__} (of an engine: engine.begin(); asynchronous: run_sync)"
        )
    mark = "?" if type(connection).__module__.startswith("sqlite3") else "%s"
    marks = ", ".join([mark] * len(row))
    execute(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608


@dataclass(frozen=True)
class Relayed:
    """What one pass of a relay came to, in tasks: accepted and removed, left for later, marked as never accepted."""

    accepted: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def taken(self) -> int:
        """How many rows the pass has taken."""
        return self.accepted + self.waiting + self.failed


class Relay:
    """Publishes what stands in an outbox, oldest first.

    On PostgreSQL, MySQL 8 and MariaDB 10.6 several may run at once: each locks the rows it has in hand, and others skip
    them. On SQLite a pass holds the write lock, so one works at a time and the application's own writes wait for it. A
    relay that dies in the middle leaves its rows as they were; the tasks among them that were accepted are published
    again under the same id.

    `backoff` says how long a row waits that a full queue has refused, and the relay when nothing was accepted.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        *,
        outbox: Outbox | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.time,
        rng: Uniform | None = None,
    ) -> None:
        name = engine.dialect.name
        if name != "sqlite" and name not in SKIPS_LOCKED:
            raise ValueError(f"a relay works on {', '.join(sorted(SKIPS_LOCKED))} and sqlite, not on {name}")
        self._engine = engine
        self._publisher = publisher
        self._table = (outbox or Outbox()).table
        self._backoff = backoff or Backoff(first_seconds=1.0, max_seconds=60.0)
        self._clock = clock
        self._rng = rng or random.Random()

    def run(self, stop: threading.Event, *, limit: int = 100, idle_seconds: float = 1.0) -> None:
        """Relay until `stop` is set, looking every `idle_seconds` when there is nothing to do.

        A database or a broker that is away is waited for. Any other error is raised.
        """
        failures = 0
        while not stop.is_set():
            try:
                done = self.run_once(limit=limit)
            except OperationalError as error:
                _log.warning("the outbox cannot be read: %s", error.orig)
                done = Relayed(waiting=1)
            failures = failures + 1 if done.waiting and not done.accepted else 0
            if failures:
                stop.wait(self._backoff.delay_seconds(failures, self._rng))
            elif done.taken < limit:
                stop.wait(idle_seconds)

    def run_once(self, *, limit: int = 100) -> Relayed:
        """Offer at most `limit` rows once, in the order of their ids, and say what came of it.

        Raises ValueError for a limit below 1, and what SQLAlchemy raises.
        """
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        with self._transaction() as connection:
            rows = connection.execute(self._due(limit)).all()
            if not rows:
                return Relayed()
            outcomes = list(
                self._publisher.publish_many(map(_call, rows), deadline_seconds=0.0, when_full=FAIL_FAST, window=limit)
            )
            return self._record(connection, [(rows[outcome.position], outcome) for outcome in outcomes])

    def _due(self, limit: int) -> sa.Select[Any]:
        table = self._table
        return (
            sa.select(table)
            .where(table.c.failed_at.is_(None), table.c.due_at <= self._clock())
            .order_by(table.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._engine.dialect.name != "sqlite":
            with self._engine.begin() as connection:
                yield connection
            return
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Python's sqlite3 begins a transaction at the first write; by then two relays have read the same rows.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    def _record(self, connection: Connection, results: Sequence[tuple[Any, Outcome]]) -> Relayed:
        accepted = [row.id for row, outcome in results if outcome.accepted]
        if accepted:
            connection.execute(sa.delete(self._table).where(self._table.c.id.in_(accepted)))
        left = [(row, outcome) for row, outcome in results if not outcome.accepted]
        for row, outcome in left:
            connection.execute(
                sa.update(self._table).where(self._table.c.id == row.id).values(self._after(row, outcome))
            )
        failed = sum(_is_final(outcome) for _, outcome in left)
        return Relayed(accepted=len(accepted), waiting=len(left) - failed, failed=failed)

    def _after(self, row: Any, outcome: Outcome) -> dict[str, Any]:
        """Return what changes in the row of a task that was not accepted."""
        now, changes = self._clock(), {"attempts": row.attempts + 1, "error": str(outcome.error)}
        if _is_final(outcome):
            return {**changes, "failed_at": now}
        if isinstance(outcome.error, QueueFull):  # let the rows of other queues pass
            return {**changes, "due_at": now + self._backoff.delay_seconds(row.attempts + 1, self._rng)}
        return changes


def _call(row: Any) -> TaskCall:
    payload = loads(row.payload)
    return TaskCall(
        row.task, args=payload["args"], kwargs=payload["kwargs"], task_id=row.task_id, options=payload["options"]
    )


def _is_final(outcome: Outcome) -> bool:
    """Whether the task is never offered again: it cannot be accepted, or its dead-letter queue has it already."""
    return outcome.error is not None and not may_retry(outcome.error)
