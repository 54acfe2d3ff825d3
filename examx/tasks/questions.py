"""Questions: bulk upload and paper parsing (cpu), extraction, index and topics (io)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update

from examx import database, documents, schema, services
from examx.tasks.base import Job, task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from examx.documents import Question

TOPICS = ("algebra", "geometry", "mechanics", "optics", "grammar", "history")
TERMS_A_QUESTION = 5

_NEWEST = select(schema.questions.c.id, schema.questions.c.text).order_by(schema.questions.c.id.desc())
_SET_TOPIC = (
    update(schema.questions).where(schema.questions.c.id == bindparam("question")).values(topic=bindparam("to"))
)


@task
def bulk_upload_questions_task(job: Job, *, rows: int = 50) -> None:
    """Take the questions of a spreadsheet with `rows` rows into the question bank (the time goes to pandas)."""
    found = documents.questions_from_spreadsheet(services.fetch("xlsx", task_id=job.id, rows=rows))

    def work(connection: Connection) -> None:
        _insert_questions(connection, job.id, found)
        progress = {"task_id": job.id, "rows": len(found), "updated_at": time.time()}
        connection.execute(insert(schema.upload_progress), progress)

    job.finish_rows(work)


@task
def process_paper_task(job: Job, *, pages: int = 2) -> None:
    """Read the questions out of a PDF of `pages` pages."""
    text = documents.text_of_pdf(services.fetch("pdf", task_id=job.id, pages=pages))
    found = documents.questions_from_text(text)
    job.finish_rows(lambda c: _insert_questions(c, job.id, found))


@task
def extract_questions_task(job: Job, *, questions: int = 20) -> None:
    """Read the questions out of a text document."""
    text = services.fetch("text", task_id=job.id, questions=questions).decode()
    found = documents.questions_from_text(text)
    job.finish_rows(lambda c: _insert_questions(c, job.id, found))


@task
def save_question_index(job: Job, *, questions: int = 10) -> None:
    """Index the newest questions: the most frequent words of each."""
    newest = _newest_questions(questions)
    rows = [
        {"task_id": job.id, "term": term, "question": number}
        for number, text in newest
        for term in documents.terms(text, at_most=TERMS_A_QUESTION)
    ]
    job.finish_rows(lambda c: rows and c.execute(insert(schema.question_index), rows))


@task
def assign_topics_to_questions(job: Job, *, questions: int = 10) -> None:
    """Give the newest questions a topic, in bulk."""
    chosen = [(number, TOPICS[len(text) % len(TOPICS)]) for number, text in _newest_questions(questions)]

    def work(connection: Connection) -> None:
        if chosen:
            connection.execute(_SET_TOPIC, [{"question": number, "to": topic} for number, topic in chosen])
            rows = [{"task_id": job.id, "question": number, "topic": topic} for number, topic in chosen]
            connection.execute(insert(schema.question_topics), rows)

    job.finish_rows(work)


def _newest_questions(at_most: int) -> list[tuple[int, str]]:
    return database.read(lambda c: [(row.id, row.text or "") for row in c.execute(_NEWEST.limit(at_most))])


def _insert_questions(connection: Connection, task_id: str, found: Sequence[Question]) -> None:
    rows = [
        {"task_id": task_id, "text": item.text, "topic": item.topic, "answer": item.answer, "marks": item.marks}
        for item in found
    ]
    if rows:
        connection.execute(insert(schema.questions), rows)
