"""Mail through SMTP, on kept connections.

Keeping a connection halves the cost of a mail on both sides (on the development machine 0.13 instead of 0.25 ms of
CPU for the dialogue in a gevent worker): greeting, EHLO and QUIT are saved.
"""

from __future__ import annotations

import os
import smtplib
import time
from collections import deque
from email.header import Header
from email.utils import formatdate
from typing import TYPE_CHECKING

from examx import breakers, retry, settings

if TYPE_CHECKING:
    from examx.settings import Settings

SENDER = "no-reply@examx.example"
TIMEOUT_SECONDS = 60.0
IDLE_SECONDS = 60.0
"""A connection unused for longer is replaced: servers close idle ones (the stand-in after 300 s)."""
POLICY = retry.Policy()
_TEMPORARY = range(400, 500)

_Idle = deque[tuple[smtplib.SMTP, float]]
_idle: dict[tuple[int, str, int], _Idle] = {}  # by process, host and port: a fork must not share connections


class _ConnectionLostError(Exception):
    """The server could not be reached, or the connection broke."""


def compose(*, task_id: str, recipient: str, subject: str, text: str) -> bytes:
    """The mail as bytes, with the header X-Task-Id by which its delivery is accounted for.

    Put together by hand: `EmailMessage` costs more CPU than sending does. Line breaks cannot enter a header.
    """
    headers = (
        f"From: {SENDER}",
        f"To: {_one_line(recipient)}",
        f"Subject: {_encoded(_one_line(subject))}",
        f"Date: {formatdate()}",
        f"Message-ID: <{_one_line(task_id)}@examx.example>",
        f"X-Task-Id: {_one_line(task_id)}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    )
    return "\r\n".join((*headers, "", *text.splitlines(), "")).encode()


def send(message: bytes, *, recipient: str) -> None:
    """Hand the mail to the server, trying again while it refuses for now (4xx, connection lost).

    Raises smtplib.SMTPException where the server refuses for good, retry.TemporaryError when patience is used up.
    """
    where = settings.current()
    retry.call(lambda: breakers.guarded("service-smtp", lambda: _send_once(where, message, recipient)), policy=POLICY)


def _send_once(where: Settings, message: bytes, recipient: str) -> None:
    idle = _idle.setdefault((os.getpid(), where.smtp_host, where.smtp_port), deque())
    kept = _take(idle)
    if kept is not None:
        try:
            return _deliver(kept, idle, message, recipient)
        except _ConnectionLostError:
            pass  # closed while it was idle: once more on a new one, without waiting
    try:
        _deliver(_connect(where), idle, message, recipient)
    except _ConnectionLostError as error:
        raise retry.TemporaryError(str(error)) from error


def _take(idle: _Idle) -> smtplib.SMTP | None:
    """The connection used last, None if there is none fresh enough."""
    while idle:
        connection, used = idle.pop()
        if time.monotonic() - used < IDLE_SECONDS:
            return connection
        connection.close()
    return None


def _connect(where: Settings) -> smtplib.SMTP:
    """A new connection. A given local_hostname avoids a name look-up each time."""
    try:
        return smtplib.SMTP(where.smtp_host, where.smtp_port, local_hostname="localhost", timeout=TIMEOUT_SECONDS)
    except OSError as error:
        raise _translated(error) from error


def _deliver(connection: smtplib.SMTP, idle: _Idle, message: bytes, recipient: str) -> None:
    """One mail on an open connection, which is kept if all went well and closed otherwise."""
    try:
        connection.sendmail(SENDER, [recipient], message)
    except OSError as error:  # smtplib's own exceptions are OSErrors too
        connection.close()
        raise _translated(error) from error
    except BaseException:  # a time limit: the dialogue stops in the middle
        connection.close()
        raise
    idle.append((connection, time.monotonic()))


def _translated(error: OSError) -> Exception:
    """The error as lost connection, temporary failure (the server's 4xx) or, for a final refusal, itself."""
    if not isinstance(error, smtplib.SMTPException) or isinstance(error, smtplib.SMTPServerDisconnected):
        return _ConnectionLostError(f"no connection to the mail server: {error}")
    code = _code(error)
    return retry.BusyError(f"the mail server answered {code}") if code in _TEMPORARY else error


def _code(error: smtplib.SMTPException) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return int(next(iter(error.recipients.values()))[0])
    return int(error.smtp_code) if isinstance(error, smtplib.SMTPResponseException) else 0


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _encoded(value: str) -> str:
    return value if value.isascii() else Header(value, "utf-8").encode()
