"""Every task run for real: against the stand-ins, a database and a directory of files."""

from __future__ import annotations

import json
import smtplib
import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select

from examx import database, effects, files, mail, retry, schema, services
from examx.catalogue import TASKS
from tests.local.examx.running import Standins

pytestmark = pytest.mark.timeout(120)

KIND = {"smtp": "mail"}  # the journal's kind where it is not the service's name
STATUS = {"smtp": 250}

TABLES = {
    "bulk_upload_questions_task": (schema.questions, 45),  # 50 rows, every tenth unusable
    "process_paper_task": (schema.questions, 50),
    "run_summary_metrics_task": (schema.summary_metrics, 1),
    "execute_student_code_task": (schema.code_runs, 1),
    "process_online_student_batch": (schema.evaluations, 3),
    "process_web_student_batch": (schema.evaluations, 3),
    "process_offline_student_batch": (schema.evaluations, 3),
    "run_question_generation_task": (schema.questions, 5),
    "extract_questions_task": (schema.questions, 20),
    "generate_ai_content_task": (schema.contents, 1),
    "generate_ai_questions_in_celery": (schema.questions, 5),
    "process_exam_auto_submit": (schema.submissions, 30),
    "process_exam_auto_submit_for_students": (schema.submissions, 5),
    "async_php_evaluate": (schema.evaluations, 1),
    "refresh_question_paper_view": (schema.maintenance_log, 1),
    "run_database_migration": (schema.maintenance_log, 1),
    "cleanup_old_upload_progress": (schema.maintenance_log, 1),
    "check_db_connections": (schema.maintenance_log, 1),
}


@pytest.fixture
def run(app: Any):
    """Run a task as a worker would and return its id."""

    def apply(name: str, task_id: str | None = None, **kwargs: Any) -> str:
        task_id = task_id or str(uuid.uuid4())
        app.tasks[name].apply(kwargs=kwargs, task_id=task_id, throw=True)
        return task_id

    return apply


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many retries at short distance. The draws depend on the task ids, so the same tries fail in every session."""
    policy = retry.Policy(attempts=30, first_seconds=0.01, longest_seconds=0.02)
    monkeypatch.setattr(services, "POLICY", policy)
    monkeypatch.setattr(mail, "POLICY", policy)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without long waits."""
    policy = retry.Policy(attempts=3, first_seconds=0.01, longest_seconds=0.02)
    monkeypatch.setattr(services, "POLICY", policy)
    monkeypatch.setattr(mail, "POLICY", policy)


def count(table: Any, task_id: str) -> int:
    query = select(func.count()).select_from(table).where(table.c.task_id == task_id)
    return database.read(lambda c: c.execute(query).scalar_one())


@pytest.mark.parametrize("name", TASKS)
def test_task_runs_with_no_arguments_and_leaves_its_effect(name: str, services: Standins, run: Any):
    spec = TASKS[name]
    task_id = run(name)
    (marker,) = effects.markers_after()
    assert (marker.task_id, marker.task, marker.kind) == (task_id, name, spec.effect)
    expected = [(KIND.get(spec.service, spec.service), STATUS.get(spec.service, 200))]
    assert services.statuses(task_id) == ([] if spec.service == "database" else expected)
    if name in TABLES:
        table, rows = TABLES[name]
        assert count(table, task_id) == rows
    assert files.path_of(task_id).exists() == (spec.effect == "file")


@pytest.mark.parametrize("name", TASKS)
def test_redelivered_task_does_nothing(name: str, services: Standins, run: Any):
    task_id = run(name)
    before = snapshot()
    run(name, task_id)
    assert snapshot() == before
    assert len(services.statuses(task_id)) <= 1  # no second mail, no second call


def snapshot() -> dict[str, int]:
    def sizes(connection: Any) -> dict[str, int]:
        tables = schema.metadata.sorted_tables
        return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}

    return database.read(sizes)


def test_sizes_can_be_set(services: Standins, run: Any):
    assert count(schema.questions, run("bulk_upload_questions_task", rows=200)) == 180
    assert count(schema.questions, run("process_paper_task", pages=1)) == 25
    assert count(schema.evaluations, run("process_web_student_batch", students=7)) == 7
    assert count(schema.submissions, run("process_exam_auto_submit_for_students", student_numbers=[4, 5])) == 2
    few, many = (files.path_of(run("generate_question_paper_pdfs", pages=n)).stat().st_size for n in (1, 10))
    assert many > few * 5


def test_unknown_argument_fails_the_task_and_leaves_no_marker(services: Standins, run: Any):
    with pytest.raises(TypeError, match="unknown"):
        run("check_db_connections", unknown=1)
    assert effects.markers_after() == []


def test_questions_are_indexed_and_given_topics(services: Standins, run: Any):
    run("extract_questions_task", questions=4)
    index_id, topics_id = run("save_question_index", questions=4), run("assign_topics_to_questions", questions=4)
    assert count(schema.question_index, index_id) > 4
    topics = database.read(lambda c: dict(c.execute(select(schema.questions.c.id, schema.questions.c.topic)).all()))
    assigned = select(schema.question_topics.c.question, schema.question_topics.c.topic)
    assert (
        database.read(lambda c: dict(c.execute(assigned.where(schema.question_topics.c.task_id == topics_id)).all()))
        == topics
    )
    assert all(topics.values())


def test_view_counts_the_questions_by_topic(services: Standins, run: Any):
    run("run_question_generation_task", questions=3, topic="optics")
    run("generate_ai_questions_in_celery", questions=2, topic="grammar")
    run("refresh_question_paper_view")
    run("refresh_question_paper_view")
    view = select(schema.question_paper_view.c.topic, schema.question_paper_view.c.questions)
    assert database.read(lambda c: dict(c.execute(view).all())) == {"optics": 3, "grammar": 2}


def test_cleanup_removes_old_progress_only(services: Standins, run: Any):
    upload = run("bulk_upload_questions_task")
    run("cleanup_old_upload_progress")
    assert count(schema.upload_progress, upload) == 1
    run("cleanup_old_upload_progress", older_than_seconds=-1)
    assert count(schema.upload_progress, upload) == 0


def test_migration_makes_its_table_and_takes_no_other_text(services: Standins, run: Any):
    run("run_database_migration", version="0042")
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM migration_0042").scalar_one()) == 0
    with pytest.raises(ValueError, match="version"):
        run("run_database_migration", version="x; DROP TABLE questions")


def test_mixed_task_waits_as_long_as_it_is_told(services: Standins, run: Any):
    services.set_profile(wait={"latency_seconds": 0.2})
    import time

    for least, kwargs in ((0.2, {}), (0.4, {"wait_seconds": 0.4})):
        started = time.monotonic()
        run("check_db_connections", **kwargs)
        assert least <= time.monotonic() - started < least + 5


@pytest.mark.usefixtures("patient")
def test_refused_calls_are_tried_again_until_they_succeed(services: Standins, run: Any):
    services.set_profile(ai={"error_ratio": 0.3, "too_many_requests_ratio": 0.3, "retry_after_seconds": 0.01})
    ids = [run("generate_ai_content_task", f"refused-call-{number}") for number in range(12)]
    found = [[status for _, status in services.statuses(task_id)] for task_id in ids]
    assert all(statuses[-1] == 200 and 200 not in statuses[:-1] for statuses in found)
    assert {429, 503} <= {status for statuses in found for status in statuses}
    assert len(effects.markers_after()) == 12


def test_retry_after_is_honoured(services: Standins, run: Any):
    services.set_profile(php={"too_many_requests_ratio": 0.5, "retry_after_seconds": 0.5})
    task_id = next(t for t in map(str, range(100)) if refused_first(t))
    run("async_php_evaluate", task_id)
    times = [entry["t"] for entry in services.journal() if entry["id"] == task_id]
    assert len(times) > 1
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))


def refused_first(task_id: str) -> bool:
    from examx.standins.profile import parse

    rules = parse({"php": {"too_many_requests_ratio": 0.5}}, name="test")
    return rules.react(service="php", task_id=task_id, attempt=1).outcome == "too_many_requests"


@pytest.mark.usefixtures("patient")
def test_refused_mails_are_tried_again_and_delivered_once(services: Standins, run: Any):
    services.set_profile(smtp={"error_ratio": 0.3, "too_many_requests_ratio": 0.3})
    ids = [run("forgot_password_mail", f"refused-mail-{number}") for number in range(12)]
    found = [[status for _, status in services.statuses(task_id)] for task_id in ids]
    assert all(statuses[-1] == 250 and 250 not in statuses[:-1] for statuses in found)
    assert {450, 451} <= {status for statuses in found for status in statuses}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["forgot_password_mail", "execute_student_code_task"])
def test_a_service_that_keeps_refusing_fails_the_task_without_a_marker(name: str, services: Standins, run: Any):
    services.set_profile(smtp={"error_ratio": 1}, judge0={"error_ratio": 1})
    with pytest.raises(retry.TemporaryError, match=r"451|503"):
        run(name)
    assert effects.markers_after() == []


@pytest.mark.usefixtures("impatient")
def test_services_that_are_not_there_fail_the_task(services: Standins, run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXAMX_SMTP_URL", "smtp://127.0.0.1:1")
    monkeypatch.setenv("EXAMX_SERVICES_URL", "http://127.0.0.1:1")
    for name in ("send_customer_invite_email", "process_web_student_batch"):
        with pytest.raises(retry.TemporaryError):
            run(name)
    assert effects.markers_after() == []


def test_final_refusal_is_not_tried_again(services: Standins, run: Any):
    from examx.services import RefusedError

    with pytest.raises(RefusedError, match="400"):
        run("bulk_upload_questions_task", rows=10**6)


def test_mail_sent_again_where_the_marker_was_not_written(
    services: Standins, run: Any, monkeypatch: pytest.MonkeyPatch
):
    """At least once: the worker dies between sending and marking."""
    from examx.tasks.base import Job

    with monkeypatch.context() as patch:
        patch.setattr(Job, "finish_mail", lambda _job: (_ for _ in ()).throw(SystemError("killed")))
        with pytest.raises(SystemError):
            run("forgot_password_mail", "mail-1-" + str(services.smtp_port))
    run("forgot_password_mail", "mail-1-" + str(services.smtp_port))
    assert services.statuses("mail-1-" + str(services.smtp_port))[-2:] == [("mail", 250)] * 2
    assert len(effects.markers_after()) == 1


def test_file_written_again_is_the_same_file(services: Standins, run: Any, monkeypatch: pytest.MonkeyPatch):
    """The worker dies between the file and its marker."""
    task_id = str(uuid.uuid4())
    with monkeypatch.context() as patch:
        patch.setattr(effects, "once", lambda **_: (_ for _ in ()).throw(SystemError("killed")))
        with pytest.raises(SystemError):
            run("generate_order_copy_pdf_task", task_id)
    first = files.path_of(task_id).read_bytes()
    run("generate_order_copy_pdf_task", task_id)
    assert files.path_of(task_id).read_bytes() == first
    assert len(effects.markers_after()) == 1


def test_summary_is_kept_as_json(services: Standins, run: Any):
    run("run_summary_metrics_task", students=50, questions=10, resamples=20)
    document = database.read(lambda c: c.execute(select(schema.summary_metrics.c.document)).scalar_one())
    assert len(json.loads(document)["difficulty"]) == 10


class ClosingServer(socketserver.StreamRequestHandler):
    """An SMTP server that takes one mail a connection and then hangs up without a word."""

    taken: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() != b".\r\n":
                    pass
                self.server.taken += 1  # type: ignore[attr-defined]
                self.wfile.write(b"250 taken\r\n")
                return
            self.wfile.write(b"550 unknown\r\n" if b"nobody" in line else b"250 yes\r\n")


@contextmanager
def closing_server() -> Iterator[Any]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), ClosingServer) as server:
        server.daemon_threads = True
        server.taken = 0  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


def test_a_kept_connection_that_was_closed_is_replaced(services: Standins, run: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail, "POLICY", retry.Policy(attempts=1))  # a new connection needs no second attempt
    with closing_server() as server:
        monkeypatch.setenv("EXAMX_SMTP_URL", f"smtp://127.0.0.1:{server.server_address[1]}")
        for _ in range(3):
            run("forgot_password_mail")
        assert server.taken == 3


def test_a_recipient_refused_for_good_fails_the_task_at_once(
    services: Standins, run: Any, monkeypatch: pytest.MonkeyPatch
):
    with closing_server() as server:
        monkeypatch.setenv("EXAMX_SMTP_URL", f"smtp://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            run("forgot_password_mail", recipient="nobody@example.org")
        assert server.taken == 0
    assert effects.markers_after() == []
