"""Mails as bytes."""

from __future__ import annotations

import email
import email.policy

from examx import mail
from examx.standins.smtp import task_id_of


def parsed(**changes: str):
    fields = {"task_id": "task-1", "recipient": "a@example.org", "subject": "Hello", "text": "Body\n"} | changes
    return email.message_from_bytes(mail.compose(**fields), policy=email.policy.default)


def test_mail_is_what_it_says():
    message = parsed()
    assert message["To"] == "a@example.org"
    assert message["From"] == mail.SENDER
    assert message["Subject"] == "Hello"
    assert message["X-Task-Id"] == "task-1"
    assert message.get_content().splitlines() == ["Body"]
    assert not message.defects


def test_text_and_subject_may_be_in_any_language():
    message = parsed(subject="Einladung für Łódź", text="Grüße aus Łódź\n")
    assert message["Subject"] == "Einladung für Łódź"
    assert message.get_content().splitlines() == ["Grüße aus Łódź"]


def test_line_breaks_cannot_add_headers():
    message = parsed(subject="Hello\r\nBcc: victim@example.org", recipient="a@example.org\nX-Evil: 1")
    assert message["Bcc"] is None
    assert message["X-Evil"] is None


def test_every_line_ends_as_smtp_wants_it():
    content = mail.compose(task_id="t", recipient="a@example.org", subject="s", text="one\ntwo\r\n\nthree")
    assert content.endswith(b"\r\n\r\none\r\ntwo\r\n\r\nthree\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")


def test_task_id_is_found_in_the_headers_only():
    assert task_id_of(b"Subject: x\r\nx-task-id:  abc \r\n\r\nX-Task-Id: no\r\n") == "abc"
    assert task_id_of(b"Subject: x\r\n\r\nX-Task-Id: no\r\n") == ""
