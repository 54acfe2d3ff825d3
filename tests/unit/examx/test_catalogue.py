"""The table of tasks against the report's inventory, the registered tasks and the chart's routes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from examx.catalogue import TASKS

CHART_VALUES = Path(__file__).parents[3] / "charts" / "celery-workers" / "values.yaml"

# The report's two tables: task -> where it lived.
REPORT_CPU = {
    "bulk_upload_questions_task": "admin_app.views.bulk_import_tasks_async",
    "generate_question_paper_pdfs": "admin_app.views.question_paper_approval_export",
    "run_summary_metrics_task": "admin_app.views.qp_template_draft",
    "process_paper_task": "ai_app.views.question_paper_parser",
    "generate_order_copy_pdf_task": "admin_app.tasks.order_copy_tasks",
    "update_order_copy_pdf_task": "admin_app.tasks.order_copy_tasks",
}
REPORT_IO = {
    "execute_student_code_task": "student_app.utility",
    "process_online_student_batch": "teacher_app.views.online_ai_evaluation",
    "process_web_student_batch": "teacher_app.views.web_ai_evaluation",
    "process_offline_student_batch": "teacher_app.views.offline_ai_evaluation",
    "run_question_generation_task": "ai_question_bank_generator.tasks",
    "extract_questions_task": "ai_app.views.question_extract_api",
    "save_question_index": "admin_app.views.question_enrichment",
    "assign_topics_to_questions": "admin_app.views.question_enrichment",
    "generate_ai_content_task": "admin_app.views.rubrictasks",
    "generate_ai_questions_in_celery": "ai_app.views.question_generator_views",
    "forgot_password_mail": "user_app.utility",
    "refresh_question_paper_view": "user_app.utility",
    "process_exam_auto_submit": "admin_app.tasks.exam_tasks",
    "process_exam_auto_submit_for_students": "admin_app.tasks.exam_tasks",
    "async_php_evaluate": "teacher_app.views.exam_ai_result_views",
    "send_customer_invite_email": "superadmin_app.utility",
    "run_database_migration": "superadmin_app.utility",
    "cleanup_old_upload_progress": "admin_app.views.bulk_import_tasks_async",
    "check_db_connections": "utility.tasks",
}
MIXED = {
    "refresh_question_paper_view",
    "run_database_migration",
    "cleanup_old_upload_progress",
    "check_db_connections",
}


def test_catalogue_is_the_reports_inventory():
    assert {name: spec.module for name, spec in TASKS.items()} == REPORT_CPU | REPORT_IO
    assert len(TASKS) == 25


def test_classes_are_six_cpu_four_mixed_fifteen_io():
    by_class = {name: spec.worker_class for name, spec in TASKS.items()}
    assert {name for name, kind in by_class.items() if kind == "cpu"} == set(REPORT_CPU)
    assert {name for name, kind in by_class.items() if kind == "mixed"} == MIXED
    assert Counter(by_class.values()) == {"cpu": 6, "mixed": 4, "io": 15}


def test_every_name_is_its_own_key():
    assert all(name == spec.name for name, spec in TASKS.items())


def test_mail_tasks_are_those_that_use_smtp():
    mails = {name for name, spec in TASKS.items() if spec.effect == "mail"}
    assert mails == {name for name, spec in TASKS.items() if spec.service == "smtp"}
    assert mails == {"forgot_password_mail", "send_customer_invite_email"}


def test_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TASKS["another"] = TASKS["forgot_password_mail"]  # type: ignore[index]


def test_registered_tasks_are_the_catalogue():
    from examx import app

    app.loader.import_default_modules()
    assert {name for name in app.tasks if not name.startswith("celery.")} == set(TASKS)


def test_charts_default_routes_send_each_task_to_its_class_and_priority():
    values = yaml.safe_load(CHART_VALUES.read_text())
    classes = {queue: name for name, worker in values["workers"].items() for queue in worker["queues"]}
    routed = {
        name: (classes[route["queue"]], route["priority"]) for route in values["routes"] for name in route["tasks"]
    }
    assert routed == {name: (spec.worker_class, spec.priority) for name, spec in TASKS.items()}
