"""Open examinations are submitted when their time is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import insert

from examx import publishing, schema
from examx.tasks.base import Job, task

if TYPE_CHECKING:
    from collections.abc import Iterable


@task
def process_exam_auto_submit(
    job: Job, *, exam: int = 1, students: int = 30, students_a_task: int | None = None
) -> None:
    """Submit the papers of all students of an exam, here or, with `students_a_task`, in tasks of so many each."""
    if students_a_task is None:
        _submit(job, exam, range(students))
        return
    for part, first in enumerate(range(0, students, students_a_task)):
        numbers = list(range(first, min(first + students_a_task, students)))
        kwargs = {"exam": exam, "student_numbers": numbers}
        publishing.send("process_exam_auto_submit_for_students", parent_id=job.id, part=part, kwargs=kwargs)
    _submit(job, exam, ())


@task
def process_exam_auto_submit_for_students(
    job: Job, *, exam: int = 1, student_numbers: Iterable[int] = (1, 2, 3, 4, 5)
) -> None:
    """Submit the papers of the named students."""
    _submit(job, exam, student_numbers)


def _submit(job: Job, exam: int, students: Iterable[int]) -> None:
    at = time.time()
    rows = [{"task_id": job.id, "exam": exam, "student": student, "submitted_at": at} for student in students]
    job.finish_rows(lambda c: rows and c.execute(insert(schema.submissions), rows))
