"""Transactions that are safe in threads, in forked processes and on gevent.

On SQLite a transaction runs from BEGIN IMMEDIATE to COMMIT without a wait in between: sqlite3 never yields to gevent,
so no greenlet is switched away while it holds the write lock. Where another process holds it, SQLite answers at once
(no busy timeout, which would stop the whole gevent loop) and `write` sleeps outside the transaction, where gevent
does switch, and tries again.

Any other database is a server that may be away: it has a circuit breaker, and what finds it away is tried again.
"""

from __future__ import annotations

import math
import os
import random
import sqlite3
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.schema import CreateTable

from examx import breakers, retry, settings
from examx.schema import metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

AwayError = retry.TemporaryError
"""What `look` raises at once, `read` and `write` after all their patience, where the database is away."""

LOCK_WAIT_SECONDS = 30.0
"""How long a transaction waits for other writers before it fails."""
POLICY = retry.Policy(attempts=1000, longest_seconds=3.0)
"""By time, not by tries: a database comes back, and until then every task needs it."""
CONNECT_SECONDS = 5
_AWAY_STATES = ("08", "53", "57P")
"""How SQL's error codes begin: no connection, no resources (too many connections), the server ends or begins."""
_BUSY_STATES = ("40", "55P03")
"""Rolled back because of others (deadlock), a lock that was not free."""
_PAUSE_SECONDS = (0.001, 0.010)
_SQLITE_CONNECTIONS = 4
_SCHEMA_ATTEMPTS = 5
TURN = 0x6578616D78
"""An advisory lock of PostgreSQL's; "examx", as good as any number that nobody else locks."""
_SERVER_CONNECTIONS = 15
"""Of a process. All are kept: opening one costs the server more than a transaction does."""
_TRUSTED_SECONDS = 1.0
"""A connection that was used so lately is not asked whether it still stands: that is a journey for each transaction."""

_engines: dict[tuple[int, str], Engine] = {}
_engines_lock = threading.Lock()


def engine(database_url: str | None = None) -> Engine:
    """The engine of `database_url` (default: the settings') in this process, its schema made on first use."""
    url = database_url or settings.current().database_url
    key = (os.getpid(), url)  # a forked child must not share its parent's connections
    found = _engines.get(key)
    if found is None:
        with _engines_lock:
            found = _engines.get(key) or _open(url)
            _engines[key] = found
    return found


def write(work: Callable[[Connection], T], *, database_url: str | None = None) -> T:
    """Run `work` in one transaction and commit. `work` must not wait for anything but the database.

    It is run again from the start where the database was locked or away, the latter up to the limits of POLICY, also
    when the connection broke at the commit: so it must be such that running it twice shows, as by a unique key. Its
    exceptions roll back and pass through.
    """
    url = database_url or settings.current().database_url
    return _patiently(url, lambda: _attempt(lambda: _transaction(engine(url), work)))


def read(work: Callable[[Connection], T], *, database_url: str | None = None) -> T:
    """Run `work` on a connection without taking the write lock, each statement for itself."""
    url = database_url or settings.current().database_url
    return _patiently(url, lambda: _attempt(lambda: _reading(engine(url), work, alone=True)))


def look(work: Callable[[Connection], T], *, database_url: str | None = None) -> T:
    """As `read`, for those who only watch: one transaction, without patience and breaker. Raises AwayError."""
    url = database_url or settings.current().database_url
    return _translated(lambda: _attempt(lambda: _afresh(lambda: _reading(engine(url), work))))


@cache
def breaker_name(url: str) -> str | None:
    """The name of a database's circuit breaker; None for a file, which is not away."""
    parts = make_url(url)
    return None if parts.get_backend_name() == "sqlite" else f"database-{parts.database}"


def _patiently(url: str, step: Callable[[], T]) -> T:
    """The result of `step`, tried again while the database server is away."""
    breaker = breaker_name(url)
    if breaker is None:
        return step()
    return retry.call(lambda: breakers.guarded(breaker, lambda: _translated(step)), policy=POLICY)


def _translated(step: Callable[[], T]) -> T:
    """The result of `step`; a server that is away is a TemporaryError, one that answered "not now" a BusyError."""
    try:
        return step()
    except PoolTimeoutError as error:
        raise retry.TemporaryError(f"no connection to the database: {error}") from error
    except OperationalError as error:
        state = getattr(error.orig, "sqlstate", None)
        if error.connection_invalidated or state is None or state.startswith(_AWAY_STATES):
            raise retry.TemporaryError(f"the database is away: {error.orig}") from error
        if state.startswith(_BUSY_STATES):
            raise retry.BusyError(f"the database is busy: {error.orig}") from error
        raise


def is_postgresql(connection: Connection) -> bool:
    """Whether writers take turns with readers by locks; on SQLite they do so by themselves."""
    return connection.dialect.name == "postgresql"


def wait_for_writers(connection: Connection) -> None:
    """Wait for transactions that hold TURN, and hold up the next ones to the end of this transaction.

    What is read then has every number below the highest that will ever be there. Writers share TURN and take it last:
    they never wait for each other, and hold a reader up for no longer than a commit.
    """
    if is_postgresql(connection):
        connection.execute(select(func.pg_advisory_xact_lock(TURN)))


def _afresh(step: Callable[[], T]) -> T:
    """The result of `step`; once more where the connection was an old one, which says nothing about the server now."""
    try:
        return step()
    except OperationalError as error:
        if not error.connection_invalidated:
            raise
    return step()


def _attempt(step: Callable[[], T]) -> T:
    limit = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return step()
        except DBAPIError as error:
            if not _is_locked(error) or time.monotonic() >= limit:
                raise
        time.sleep(random.uniform(*_PAUSE_SECONDS))


def _transaction(bound: Engine, work: Callable[[Connection], T]) -> T:
    with bound.connect() as connection:
        if bound.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        result = work(connection)
        connection.commit()
        return result


def _reading(bound: Engine, work: Callable[[Connection], T], *, alone: bool = False) -> T:
    """`alone`: a server is spared a transaction's begin and end around each statement."""
    with bound.connect() as connection:
        if alone and is_postgresql(connection):
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return work(connection)


def _is_locked(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _open(url: str) -> Engine:
    opened = _open_sqlite(url) if make_url(url).get_backend_name() == "sqlite" else _open_server(url)
    _create_schema(opened)
    return opened


def _open_server(url: str) -> Engine:
    options = {"connect_timeout": CONNECT_SECONDS} if make_url(url).get_backend_name() == "postgresql" else {}
    opened = create_engine(url, pool_size=_SERVER_CONNECTIONS, max_overflow=0, connect_args=options)
    event.listen(opened, "checkin", _note_use)
    event.listen(opened, "checkout", lambda connection, record, _: _ask_if_idle(opened, connection, record))
    return opened


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ask_if_idle(opened: Engine, connection: Any, record: ConnectionPoolEntry) -> None:
    """Have the pool open new connections where one that stood idle is lost, as SQLAlchemy's own pre-ping does."""
    if time.monotonic() - record.info.get("used_at", math.inf) > _TRUSTED_SECONDS:
        try:
            opened.dialect.do_ping(connection)
        except opened.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _open_sqlite(url: str) -> Engine:
    """An engine on a WAL file: readers never wait for writers.

    synchronous=NORMAL: a commit is safe when a process dies, the last ones may be lost when the machine loses power.
    """
    Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True)
    opened = create_engine(
        url,
        pool_size=_SQLITE_CONNECTIONS,
        max_overflow=0,
        pool_timeout=LOCK_WAIT_SECONDS,
        connect_args={"timeout": 0, "check_same_thread": False},
    )
    event.listen(opened, "connect", _prepare_sqlite)
    _attempt(lambda: _reading(opened, lambda c: c.exec_driver_sql("PRAGMA journal_mode=WAL").close()))
    return opened


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _transaction, not by sqlite3's guess
    connection.execute("PRAGMA synchronous=NORMAL")


def _create_schema(bound: Engine) -> None:
    """Make what is missing; several processes may do so at once (the loser of a race looks again)."""
    for attempt in range(_SCHEMA_ATTEMPTS):
        try:
            _attempt(lambda: _transaction(bound, _create_tables))
            return
        except (IntegrityError, OperationalError, ProgrammingError):
            if attempt == _SCHEMA_ATTEMPTS - 1:
                raise
        time.sleep(random.uniform(0.05, 0.2))


def _create_tables(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
