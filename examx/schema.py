"""The application's tables. Every row carries the id of the task that wrote it, so that effects can be traced."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

TASK_ID_LENGTH = 128


def _table(name: str, *columns: Column[object]) -> Table:
    return Table(
        name, metadata, Column("id", Integer, primary_key=True), Column("task_id", String(TASK_ID_LENGTH)), *columns
    )


task_effects = Table(
    "task_effects",
    metadata,
    # `seq` is the readers' cursor: a reader never sees one before a lower one (examx.database).
    Column("seq", Integer, primary_key=True),
    Column("task_id", String(TASK_ID_LENGTH), nullable=False, unique=True),
    Column("task", String(64), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("created_at", Float, nullable=False),
)
"""The marker of every task that is done: its unique task_id makes a redelivered task do nothing."""

questions = _table(
    "questions", Column("text", Text), Column("topic", String(64)), Column("answer", Text), Column("marks", Integer)
)
question_index = _table("question_index", Column("term", String(64)), Column("question", Integer))
question_topics = _table("question_topics", Column("question", Integer), Column("topic", String(64)))
question_paper_view = _table("question_paper_view", Column("topic", String(64)), Column("questions", Integer))
evaluations = _table(
    "evaluations",
    Column("source", String(16)),
    Column("student", Integer),
    Column("score", Float),
    Column("note", Text),
)
contents = _table("contents", Column("title", String(128)), Column("text", Text))
code_runs = _table("code_runs", Column("language", String(32)), Column("status", String(32)), Column("output", Text))
submissions = _table("submissions", Column("exam", Integer), Column("student", Integer), Column("submitted_at", Float))
summary_metrics = _table("summary_metrics", Column("students", Integer), Column("document", Text))
upload_progress = _table("upload_progress", Column("rows", Integer), Column("updated_at", Float))
maintenance_log = _table(
    "maintenance_log", Column("what", String(64)), Column("rows", Integer), Column("took_ms", Float)
)
