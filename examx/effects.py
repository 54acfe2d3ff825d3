"""The marker table: which tasks are done, written with their effect and read from outside while it grows.

A row effect and its marker are one transaction. A file is renamed into place before its marker is written, a mail is
sent before its marker is written: a task that dies in between runs again, which for a file gives the same file and
for a mail a second mail (at least once).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from examx import database
from examx.schema import task_effects

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from examx.catalogue import Effect

_INSERT = insert(task_effects)
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
        database.take_turn(connection)
        connection.execute(_INSERT, {"task_id": task_id, "task": task, "kind": kind, "created_at": clock()})

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

    Complete on SQLite and PostgreSQL, where markers are committed in the order of their `seq` (database.take_turn). On
    another database a reader that must miss nothing starts again from 0 once the writers have stopped. Raises
    database.AwayError at once.
    """
    rows = database.look(
        lambda c: c.execute(_AFTER, {"cursor": cursor, "at_most": at_most}).all(), database_url=database_url
    )
    return [
        Marker(seq=row.seq, task_id=row.task_id, task=row.task, kind=row.kind, created_at=row.created_at)
        for row in rows
    ]
