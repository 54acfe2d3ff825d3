"""Work that waits for a service which runs or judges something: Judge0 and the PHP API."""

from __future__ import annotations

from sqlalchemy import insert

from examx import schema, services
from examx.tasks.base import Job, task


@task
def execute_student_code_task(
    job: Job, *, source: str = "print(6 * 7)", stdin: str = "", language: str = "python"
) -> None:
    """Run a student's program on Judge0 and keep what it printed."""
    answer = services.post("judge0", {"source": source, "stdin": stdin, "language": language}, task_id=job.id)
    row = {"task_id": job.id, "language": language, "status": answer["status"], "output": answer["stdout"]}
    job.finish_rows(lambda c: c.execute(insert(schema.code_runs), row))


@task
def async_php_evaluate(job: Job, *, student: int = 1, answer: str = "Because of gravity.") -> None:
    """Have an answer evaluated by the PHP API."""
    result = services.post("php", {"student": student, "answer": answer}, task_id=job.id)
    row = {
        "task_id": job.id, "source": "php", "student": student, "score": result["score"], "note": result["note"],
    }  # fmt: skip
    job.finish_rows(lambda c: c.execute(insert(schema.evaluations), row))
