"""Work that is half waiting, half database: the mixed class (threads).

Each waits once on the stand-in's /wait, which stands for the part of such work that runs elsewhere (a view's refresh,
a lock, a cache); its latency sets how long the task takes, `wait_seconds` overrides it.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, text

from examx import database, schema, services
from examx.tasks.base import Job, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_VERSION = re.compile(r"[a-z0-9_]{1,32}")


@task
def refresh_question_paper_view(job: Job, *, rows: int = 500, wait_seconds: float | None = None) -> None:
    """Count the newest questions by topic anew."""
    newest = select(schema.questions.c.topic).order_by(schema.questions.c.id.desc()).limit(rows).subquery()
    counts = select(newest.c.topic, func.count().label("questions")).group_by(newest.c.topic)

    def work(connection: Connection) -> int:
        found = [
            {"task_id": job.id, "topic": row.topic, "questions": row.questions} for row in connection.execute(counts)
        ]
        connection.execute(delete(schema.question_paper_view))
        if found:
            connection.execute(insert(schema.question_paper_view), found)
        return len(found)

    _maintain(job, work, wait_seconds)


@task
def run_database_migration(job: Job, *, version: str = "0001", wait_seconds: float | None = None) -> None:
    """Make the table that a version needs, if it is not there."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version {version!r}: only lower-case letters, digits and '_', at most 32")

    def work(connection: Connection) -> int:
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS migration_{version} (id INTEGER PRIMARY KEY, note TEXT)"))
        return 0

    _maintain(job, work, wait_seconds)


@task
def cleanup_old_upload_progress(
    job: Job, *, older_than_seconds: float = 3600.0, wait_seconds: float | None = None
) -> None:
    """Remove progress entries of uploads that ended long ago."""
    old = delete(schema.upload_progress).where(schema.upload_progress.c.updated_at < time.time() - older_than_seconds)
    _maintain(job, lambda c: c.execute(old).rowcount, wait_seconds)


@task
def check_db_connections(job: Job, *, checks: int = 3, wait_seconds: float | None = None) -> None:
    """Ask the database something `checks` times and log how long it took."""
    for _ in range(checks):
        database.read(lambda c: c.execute(select(func.max(schema.maintenance_log.c.id))).scalar_one())
    _maintain(job, lambda _: checks, wait_seconds)


def _maintain(job: Job, work: Callable[[Connection], int], wait_seconds: float | None) -> None:
    """Wait, then do the work and log it, in one transaction with the marker."""
    services.wait(task_id=job.id, seconds=wait_seconds)

    def logged(connection: Connection) -> None:
        started = time.perf_counter()
        rows = work(connection)
        took_ms = (time.perf_counter() - started) * 1000
        entry = {"task_id": job.id, "what": job.spec.name, "rows": rows, "took_ms": took_ms}
        connection.execute(insert(schema.maintenance_log), entry)

    job.finish_rows(logged)
