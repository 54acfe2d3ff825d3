"""Work that waits for the AI service, then writes rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from examx import documents, schema, services
from examx.tasks.base import Job, task


@task
def process_online_student_batch(job: Job, *, students: int = 3, image_pixels: int = 64) -> None:
    """Evaluate a batch of online answers; each student's page goes along as an image."""
    images = [documents.page_image_base64(student, pixels=image_pixels) for student in range(students)]
    _evaluate(job, "online", students, images=images)


@task
def process_web_student_batch(job: Job, *, students: int = 3) -> None:
    """Evaluate a batch of answers given on the web."""
    _evaluate(job, "web", students)


@task
def process_offline_student_batch(job: Job, *, students: int = 3) -> None:
    """Evaluate a batch of answers that were written on paper."""
    _evaluate(job, "offline", students)


@task
def run_question_generation_task(job: Job, *, questions: int = 5, topic: str = "algebra") -> None:
    """Have questions for the question bank written."""
    _generate(job, questions, topic)


@task
def generate_ai_questions_in_celery(job: Job, *, questions: int = 5, topic: str = "geometry") -> None:
    """Have questions for a teacher's paper written."""
    _generate(job, questions, topic)


@task
def generate_ai_content_task(job: Job, *, title: str = "Rubric for an essay") -> None:
    """Have a rubric written."""
    item = _ask(job, "write", 1, title=title)[0]
    row = {"task_id": job.id, "title": title, "text": item["text"]}
    job.finish_rows(lambda c: c.execute(insert(schema.contents), row))


def _evaluate(job: Job, source: str, students: int, **extra: Any) -> None:
    items = _ask(job, "evaluate", students, source=source, **extra)
    rows = [
        {"task_id": job.id, "source": source, "student": number, "score": item["score"], "note": item["text"]}
        for number, item in enumerate(items)
    ]
    job.finish_rows(lambda c: c.execute(insert(schema.evaluations), rows))


def _generate(job: Job, questions: int, topic: str) -> None:
    items = _ask(job, "generate", questions, topic=topic)
    rows = [
        {"task_id": job.id, "text": item["text"], "topic": topic, "answer": "", "marks": 1 + number % 5}
        for number, item in enumerate(items)
    ]
    job.finish_rows(lambda c: c.execute(insert(schema.questions), rows))


def _ask(job: Job, purpose: str, items: int, **details: Any) -> list[dict[str, Any]]:
    """Exactly `items` answers of the AI service, each with `text` and `score`."""
    if items < 1:
        raise ValueError(f"{purpose}: {items} items asked for; at least 1")
    answer = services.post("ai", {"purpose": purpose, "items": items, **details}, task_id=job.id)
    found: list[dict[str, Any]] = answer["items"]
    if len(found) != items:
        raise services.RefusedError(f"{items} items asked for, {len(found)} came")
    return found
