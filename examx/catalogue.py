"""The one table of the application's tasks: what each does, which worker class runs it, what it leaves behind.

The inventory is that of the optimisation report. `module` is where the task lived in the application the report
describes; it is kept as documentation, tasks are registered under their short names.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

WorkerClass = Literal["io", "cpu", "mixed"]
Effect = Literal["mail", "row", "file"]
Service = Literal["smtp", "ai", "judge0", "php", "storage", "wait", "database"]
Priority = Literal[
    "critical", "authentication", "payment", "email", "ai", "bulk", "cleanup", "statistics", "maintenance"
]


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task: `service` is what it waits for, `effect` what proves it done, `priority` a name of the guide."""

    name: str
    module: str
    operations: str
    worker_class: WorkerClass
    effect: Effect
    service: Service
    priority: Priority


# One line a task, so that the table can be read down its columns.
# ruff: noqa: E501
_ROWS: tuple[tuple[str, str, str, WorkerClass, Effect, Service, Priority], ...] = (
    # name, module, operations, worker class, effect, service, priority
    ("bulk_upload_questions_task", "admin_app.views.bulk_import_tasks_async", "spreadsheet with pandas, bulk insert", "cpu", "row", "storage", "bulk"),
    ("generate_question_paper_pdfs", "admin_app.views.question_paper_approval_export", "PDF generation", "cpu", "file", "storage", "bulk"),
    ("run_summary_metrics_task", "admin_app.views.qp_template_draft", "statistics on arrays", "cpu", "row", "storage", "statistics"),
    ("process_paper_task", "ai_app.views.question_paper_parser", "text extraction from a PDF", "cpu", "row", "storage", "bulk"),
    ("generate_order_copy_pdf_task", "admin_app.tasks.order_copy_tasks", "PDF generation", "cpu", "file", "storage", "payment"),
    ("update_order_copy_pdf_task", "admin_app.tasks.order_copy_tasks", "PDF update", "cpu", "file", "storage", "payment"),
    ("execute_student_code_task", "student_app.utility", "Judge0 call, row", "io", "row", "judge0", "ai"),
    ("process_online_student_batch", "teacher_app.views.online_ai_evaluation", "AI calls with images, rows", "io", "row", "ai", "ai"),
    ("process_web_student_batch", "teacher_app.views.web_ai_evaluation", "AI calls, rows", "io", "row", "ai", "ai"),
    ("process_offline_student_batch", "teacher_app.views.offline_ai_evaluation", "AI calls, rows", "io", "row", "ai", "ai"),
    ("run_question_generation_task", "ai_question_bank_generator.tasks", "AI call, rows", "io", "row", "ai", "ai"),
    ("extract_questions_task", "ai_app.views.question_extract_api", "document fetched and split, rows", "io", "row", "storage", "bulk"),
    ("save_question_index", "admin_app.views.question_enrichment", "queries, search index rows", "io", "row", "database", "bulk"),
    ("assign_topics_to_questions", "admin_app.views.question_enrichment", "bulk updates", "io", "row", "database", "bulk"),
    ("generate_ai_content_task", "admin_app.views.rubrictasks", "AI call, row", "io", "row", "ai", "ai"),
    ("generate_ai_questions_in_celery", "ai_app.views.question_generator_views", "AI call, rows", "io", "row", "ai", "ai"),
    ("forgot_password_mail", "user_app.utility", "mail", "io", "mail", "smtp", "authentication"),
    ("refresh_question_paper_view", "user_app.utility", "view refresh", "mixed", "row", "wait", "maintenance"),
    ("process_exam_auto_submit", "admin_app.tasks.exam_tasks", "bulk rows at the end of an exam", "io", "row", "database", "critical"),
    ("process_exam_auto_submit_for_students", "admin_app.tasks.exam_tasks", "bulk rows for named students", "io", "row", "database", "critical"),
    ("async_php_evaluate", "teacher_app.views.exam_ai_result_views", "PHP API call, row", "io", "row", "php", "ai"),
    ("send_customer_invite_email", "superadmin_app.utility", "mail", "io", "mail", "smtp", "email"),
    ("run_database_migration", "superadmin_app.utility", "schema change", "mixed", "row", "wait", "maintenance"),
    ("cleanup_old_upload_progress", "admin_app.views.bulk_import_tasks_async", "old progress entries removed", "mixed", "row", "wait", "cleanup"),
    ("check_db_connections", "utility.tasks", "database health check", "mixed", "row", "wait", "maintenance"),
)  # fmt: skip

TASKS: Mapping[str, TaskSpec] = MappingProxyType(
    {
        name: TaskSpec(
            name=name,
            module=module,
            operations=operations,
            worker_class=worker_class,
            effect=effect,
            service=service,
            priority=priority,
        )
        for name, module, operations, worker_class, effect, service, priority in _ROWS
    }
)
"""Task name -> what is known of it, in the report's order."""
