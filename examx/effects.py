"""The marker table: which tasks are done, written with their effect and read from outside while it grows.

A row effect and its marker are one transaction. A file is renamed into place before its marker is written, a mail is
sent before its marker is written: a task that dies in between runs again, which for a file gives the same file and
for a mail a second mail (at least once).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.exc import IntegrityError

from examx import database
from examx.schema import task_effects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sqlalchemy import Connection, Row

    from examx.catalogue import Effect

_INSERT = insert(task_effects)
_INSERT_IN_TURN = text(
    # One statement: the lock is had before the number is taken, and costs no journey of its own.
    "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(:turn)) "
    "INSERT INTO task_effects (task_id, task, kind, created_at) SELECT :task_id, :task, :kind, :created_at FROM turn"
).bindparams(turn=database.TURN)
_FIND = select(task_effects.c.seq).where(task_effects.c.task_id == bindparam("wanted"))
_AFTER = (
    select(task_effects)
    .where(task_effects.c.seq > bindparam("cursor"))
    .order_by(task_effects.c.seq)
    .limit(bindparam("at_most"))
)


@dataclass(frozen=True, kw_only=True)
class Marker:
    """One task that is done. `created_at` is in seconds since the epoch; `seq` is the cursor to read on from."""

    seq: int
    task_id: str
    task: str
    kind: str
    created_at: float


def is_done(task_id: str) -> bool:
    """Whether the task's effect is complete."""
    return database.read(lambda c: c.execute(_FIND, {"wanted": task_id}).first() is not None)


def once(
    *,
    task_id: str,
    task: str,
    kind: Effect,
    work: Callable[[Connection], object] | None = None,
    clock: Callable[[], float] = time.time,
) -> bool:
    """Write the marker and whatever `work` writes in one transaction; False, and nothing written, if it was done."""

    def both(connection: Connection) -> None:
        if work is not None:
            work(connection)
        marking = _INSERT_IN_TURN if database.is_postgresql(connection) else _INSERT
        connection.execute(marking, {"task_id": task_id, "task": task, "kind": kind, "created_at": clock()})

    try:
        database.write(both)
    except IntegrityError:
        if is_done(task_id):
            return False
        raise  # the conflict was in the work's own rows
    return True


def prepare(database_url: str | None = None) -> None:
    """Make the tables (safe while others do the same)."""
    database.engine(database_url)


def markers_after(cursor: int = 0, *, database_url: str | None = None, at_most: int = 10_000) -> list[Marker]:
    """The markers with `seq` above `cursor`, oldest first; go on from the last one's `seq` until the list is empty.

    Complete on SQLite, where writers take turns, and on PostgreSQL, where a reader waits for those about to commit
    (database.wait_for_writers). On another database a reader that must miss nothing starts again from 0 once the
    writers have stopped. Raises database.AwayError at once.
    """

    def rows_after(connection: Connection) -> Sequence[Row[Any]]:
        database.wait_for_writers(connection)
        return connection.execute(_AFTER, {"cursor": cursor, "at_most": at_most}).all()

    rows = database.look(rows_after, database_url=database_url)
    return [
        Marker(seq=row.seq, task_id=row.task_id, task=row.task, kind=row.kind, created_at=row.created_at)
        for row in rows
    ]
