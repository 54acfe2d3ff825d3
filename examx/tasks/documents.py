"""PDFs written (cpu): question papers and copies of orders. And the summary of an examination's scores."""

from __future__ import annotations

import json

from sqlalchemy import insert

from examx import documents, schema, services, statistics
from examx.tasks.base import Job, task


@task
def generate_question_paper_pdfs(job: Job, *, pages: int = 2, questions: int = 20) -> None:
    """Print a question paper of `pages` pages."""
    text = services.fetch("text", task_id=job.id, questions=questions).decode()
    paper = documents.question_paper_pdf(documents.questions_from_text(text), title="Question paper", pages=pages)
    job.finish_file(paper)


@task
def generate_order_copy_pdf_task(job: Job, *, items: int = 20, order: int = 1) -> None:
    """Print the copy of an order with `items` items."""
    lines = json.loads(services.fetch("order", task_id=job.id, items=items))
    job.finish_file(documents.order_pdf(lines, order=order))


@task
def update_order_copy_pdf_task(job: Job, *, pages: int = 2, stamp: str = "PAID") -> None:
    """Stamp every page of an existing PDF."""
    content = services.fetch("pdf", task_id=job.id, pages=pages)
    job.finish_file(documents.stamped_pdf(content, stamp=stamp))


@task
def run_summary_metrics_task(
    job: Job, *, students: int = 500, questions: int = 40, resamples: int = 200, seed: int = 1
) -> None:
    """Summarise an examination's scores; `resamples` sets how much there is to calculate."""
    scores = statistics.load_scores(services.fetch("scores", task_id=job.id, students=students, questions=questions))
    result = statistics.summary(scores, resamples=resamples, seed=seed)
    row = {"task_id": job.id, "students": students, "document": json.dumps(result)}
    job.finish_rows(lambda c: c.execute(insert(schema.summary_metrics), row))
