"""The stand-ins as a process: what they record, how they start, stop and die."""

from __future__ import annotations

import contextlib
import json
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from examx import mail
from examx.standins.__main__ import main
from tests.local.examx.running import Standins, command, environment, standins, wait_for

pytestmark = pytest.mark.timeout(90)


def send(running: Standins, task_id: str) -> None:
    with smtplib.SMTP("127.0.0.1", running.smtp_port, local_hostname="localhost", timeout=20) as connection:
        message = mail.compose(task_id=task_id, recipient="a@example.org", subject="s", text="t")
        connection.sendmail("b@example.org", ["a@example.org"], message)


def post(running: Standins, service: str, body: dict[str, object], task_id: str | None) -> urllib3.BaseHTTPResponse:
    headers = {"Idempotency-Key": task_id} if task_id else {}
    return running.http.request("POST", f"{running.url}/{service}", json=body, headers=headers)


def get(running: Standins, path: str) -> urllib3.BaseHTTPResponse:
    return running.http.request("GET", running.url + path, headers={"Idempotency-Key": "reader"})


def test_every_delivery_is_recorded_and_none_removed(services: Standins):
    mail_id, call_id = str(uuid.uuid4()), str(uuid.uuid4())
    for _ in range(2):
        send(services, mail_id)
        assert post(services, "ai", {"items": 2}, call_id).status == 200
    assert services.statuses(mail_id) == [("mail", 250)] * 2
    assert services.statuses(call_id) == [("ai", 200)] * 2


def test_journal_is_read_on_over_http(services: Standins):
    offset = len(b"".join(pages(services, 0)))
    task_id = str(uuid.uuid4())
    send(services, task_id)
    (page,) = pages(services, offset)
    entry = json.loads(page)
    assert (entry["id"], entry["kind"], entry["status"]) == (task_id, "mail", 250)
    assert abs(entry["t"] - time.time()) < 60
    assert get(services, "/_journal?offset=x").status == 400


def pages(running: Standins, offset: int) -> list[bytes]:
    found = []
    while page := get(running, f"/_journal?offset={offset}").data:
        found.append(page)
        offset += len(page)
    return found


def test_answers_depend_on_the_task_id_only(services: Standins):
    bodies = {"ai": {"items": 3}, "judge0": {"source": "x"}, "php": {"student": 1, "answer": "y"}}
    for service, body in bodies.items():
        first, again, other = (post(services, service, body, task_id).json() for task_id in ("a", "a", "b"))
        assert first == again
        assert service == "judge0" or first != other


@pytest.mark.parametrize(
    ("service", "body"),
    [("ai", {"items": 0}), ("ai", {"items": "x"}), ("judge0", {}), ("php", {"student": "x", "answer": ""}), ("ai", [])],
)
def test_unusable_request_is_refused_and_not_recorded(service: str, body: object, services: Standins):
    before = len(services.journal())
    assert post(services, service, body, "t").status == 400  # type: ignore[arg-type]
    assert len(services.journal()) == before


def test_a_call_needs_its_key(services: Standins):
    assert post(services, "ai", {"items": 1}, None).status == 400


def test_storage_serves_documents_by_size(services: Standins):
    small, large = (get(services, f"/storage/text?questions={count}").data for count in (2, 200))
    assert len(small) * 10 < len(large)
    assert get(services, "/storage/xlsx").data.startswith(b"PK")
    assert get(services, "/storage/pdf?pages=1").data.startswith(b"%PDF")
    assert get(services, "/storage/pdf?pages=0").status == 400
    assert get(services, "/storage/pdf?rows=1").status == 400
    assert get(services, "/storage/unknown").status == 404


def test_latency_is_honoured(services: Standins):
    services.set_profile(smtp={"latency_seconds": 0.5}, ai={"latency_seconds": 0.4}, wait={"latency_seconds": 0.3})
    for least, call in (
        (0.5, lambda: send(services, "slow")),
        (0.4, lambda: post(services, "ai", {}, "slow")),
        (0.3, lambda: get(services, "/wait")),
        (0.6, lambda: get(services, "/wait?seconds=0.6")),
    ):
        started = time.monotonic()
        call()
        assert least <= time.monotonic() - started < least + 5


def test_refusals_carry_their_status(services: Standins):
    services.set_profile(
        ai={"too_many_requests_ratio": 1, "retry_after_seconds": 3}, php={"error_ratio": 1}, smtp={"error_ratio": 1}
    )
    task_id = str(uuid.uuid4())
    refused = post(services, "ai", {}, task_id)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "3")
    assert post(services, "php", {"student": 1, "answer": ""}, task_id).status == 503
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(services, task_id)
    assert error.value.smtp_code == 451
    services.set_profile(smtp={"too_many_requests_ratio": 1})
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(services, task_id)
    assert error.value.smtp_code == 450
    assert services.statuses(task_id) == [("ai", 429), ("php", 503), ("mail", 451), ("mail", 450)]


def test_profile_is_shown_and_a_wrong_one_refused(services: Standins):
    services.set_profile(seed=9, ai={"latency_seconds": 0.25})
    answer = services.http.request("PUT", f"{services.url}/_profile", json={"ai": {"latency": 1}})
    assert answer.status == 400
    assert "unknown key 'latency'" in answer.json()["error"]
    shown = get(services, "/_profile").json()
    assert (shown["seed"], shown["ai"]["latency_seconds"], shown["smtp"]["latency_seconds"]) == (9, 0.25, 0)


def test_health_counts_what_was_recorded(services: Standins):
    before = get(services, "/_health").json()["recorded"].get("php 200", 0)
    post(services, "php", {"student": 1, "answer": "x"}, "t")
    health = get(services, "/_health").json()
    assert (health["status"], health["recorded"]["php 200"]) == ("ok", before + 1)


def test_a_mail_is_delivered_although_its_sender_is_gone(services: Standins):
    """What a provider does, and why a worker killed while it waits leads to a second mail."""
    services.set_profile(smtp={"latency_seconds": 0.5})
    task_id = str(uuid.uuid4())
    connection = smtplib.SMTP("127.0.0.1", services.smtp_port, local_hostname="localhost", timeout=20)
    connection.ehlo()
    connection.mail("a@example.org")
    connection.rcpt("b@example.org")
    assert connection.docmd("DATA")[0] == 354
    connection.send(f"X-Task-Id: {task_id}\r\n\r\ntext\r\n.\r\n".encode())
    time.sleep(0.2)
    connection.close()
    wait_for(lambda: services.statuses(task_id) == [("mail", 250)], "the mail", limit_seconds=10)


def test_killed_standins_lose_nothing_they_acknowledged(tmp_path: Path):
    acknowledged: list[str] = []

    def send_until_it_dies(number: int) -> None:
        try:
            with smtplib.SMTP("127.0.0.1", running.smtp_port, local_hostname="localhost", timeout=20) as connection:
                for count in range(100_000):
                    task_id = f"{number}-{count}"
                    connection.sendmail("b@example.org", ["a@example.org"], f"X-Task-Id: {task_id}\r\n\r\nx\r\n")
                    acknowledged.append(task_id)
        except OSError:
            pass

    with standins(tmp_path, profile={"smtp": {"latency_seconds": 0.002}}) as running:
        threads = [threading.Thread(target=send_until_it_dies, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(acknowledged) > 300, "300 mails")
        running.kill()
        for thread in threads:
            thread.join(20)
    recorded = running.counts()
    assert len(acknowledged) > 300
    assert set(acknowledged) <= set(recorded)
    assert set(recorded.values()) == {1}
    assert len(recorded) - len(acknowledged) <= 8  # recorded, and killed before the answer went out
    with standins(tmp_path) as again:  # and goes on where it was
        send(again, "after")
        assert again.counts() == recorded | {"after": 1}


@pytest.mark.full
def test_many_connections_at_once(tmp_path: Path):
    count = 1500
    with standins(tmp_path, profile={"smtp": {"latency_seconds": 1}}) as running:
        code = (
            "from gevent import monkey; monkey.patch_all()\n"
            "import gevent, resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
            "from examx import mail\n"
            "def one(n):\n"
            "    content = mail.compose(task_id=f'm{n}', recipient='a@example.org', subject='s', text='t')\n"
            "    mail.send(content, recipient='a@example.org')\n"
            f"gevent.joinall([gevent.spawn(one, n) for n in range({count})], raise_error=True)\n"
        )
        subprocess.run([sys.executable, "-c", code], env=environment(**running.environment()), timeout=60, check=True)
        assert running.counts() == {f"m{number}": 1 for number in range(count)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_when_told_even_with_connections_and_waiting_requests(number: int, tmp_path: Path):
    with standins(tmp_path, profile={"smtp": {"latency_seconds": 30}, "wait": {"latency_seconds": 30}}) as running:
        idle = socket.create_connection(("127.0.0.1", running.smtp_port))
        waiting = [
            threading.Thread(target=lambda call=call: swallow(call), daemon=True)
            for call in (lambda: send(running, "x"), lambda: get(running, "/wait"))
        ]
        for thread in waiting:
            thread.start()
        wait_for(lambda: get(running, "/_health").json()["in_progress"] == 2, "two waiting requests")
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
        idle.close()
        for thread in waiting:
            thread.join(10)
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
        assert not (tmp_path / "ready.json").exists()
    assert running.journal() == []  # not acknowledged, so not recorded


def swallow(call) -> None:
    with contextlib.suppress(OSError, urllib3.exceptions.HTTPError):
        call()


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Returns the one message of a start that must fail; in this process, where imports have been paid for."""

    def start(directory: Path, *options: str) -> str:
        assert main(["--directory", str(directory), *options]) == 2
        return capsys.readouterr().err

    return start


def test_taken_port_is_named(tmp_path: Path, refused: Callable[..., str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option, other in (("--smtp-port", "--http-port"), ("--http-port", "--smtp-port")):
            message = refused(tmp_path, option, port, other, "0")
            assert f"port {port} on 127.0.0.1 is already taken; give {option} another one" in message


def test_unknown_profile_key_is_named(tmp_path: Path):
    """As a process, for the exit code that a shell gets."""
    path = tmp_path / "profile.json"
    path.write_text('{"smtp": {"latency": 2}}')
    done = subprocess.run(
        command(tmp_path, "--profile", str(path)), env=environment(), capture_output=True, text=True, timeout=60
    )
    message = done.stderr
    assert done.returncode == 2
    assert "Traceback" not in message
    assert f"{path}: smtp: unknown key 'latency'; known: latency_seconds" in message


def test_other_unusable_input_is_one_message(tmp_path: Path, refused: Callable[..., str]):
    assert "--profile" in refused(tmp_path, "--profile", str(tmp_path / "missing.json"))
    assert "0 to 65535" in refused(tmp_path, "--smtp-port", "70000")
    (tmp_path / "file").touch()
    assert "--directory" in refused(tmp_path / "file" / "below", "--smtp-port", "0")
    ready = str(tmp_path / "missing" / "ready")
    assert "--ready-file" in refused(tmp_path, "--smtp-port", "0", "--http-port", "0", "--ready-file", ready)
