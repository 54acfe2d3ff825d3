"""Mails: at least once. The marker is looked up before sending and written after it."""

from __future__ import annotations

from examx import mail
from examx.tasks.base import Job, task


@task
def forgot_password_mail(job: Job, *, recipient: str = "student@examx.example", user: str = "Student") -> None:
    """Send the link with which a user sets a new password."""
    text = f"Dear {user},\n\nset a new password here: https://examx.example/reset/{job.id}\n"
    _send(job, recipient, "Your new password", text)


@task
def send_customer_invite_email(
    job: Job, *, recipient: str = "office@college.example", customer: str = "Example College"
) -> None:
    """Invite a customer to the platform."""
    text = f"Welcome, {customer}.\n\nAccept your invitation: https://examx.example/invite/{job.id}\n"
    _send(job, recipient, f"Invitation for {customer}", text)


def _send(job: Job, recipient: str, subject: str, text: str) -> None:
    mail.send(mail.compose(task_id=job.id, recipient=recipient, subject=subject, text=text), recipient=recipient)
    job.finish_mail()
