"""A Redis and a PostgreSQL of one's own: they start, answer, end, come back, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis as client

from harness.chaos.injectors import FreezeServer
from harness.chaos.site import own_postgresql
from harness.errors import HarnessError, InputError
from harness.services import postgresql as postgresql_service
from harness.services import redis as redis_service
from harness.services.postgresql import PostgreSQL
from harness.services.redis import Redis

pytestmark = pytest.mark.timeout(90)


def eventually(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def temporary_directory() -> Iterator[str]:
    """Where a killed owner leaves what it did not get to remove; PostgreSQL's account may pass through it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield name


def test_redis_answers_those_who_know_its_password(redis: Redis) -> None:
    with client.Redis.from_url(redis.url) as one:
        assert one.ping()
    parts = urlsplit(redis.url)
    without = parts._replace(netloc=f"{parts.hostname}:{parts.port}").geturl()
    with client.Redis.from_url(without) as stranger, pytest.raises(client.AuthenticationError):
        stranger.ping()
    assert redis.url not in repr(redis)


def test_postgresql_answers_those_who_know_its_password(postgresql: PostgreSQL) -> None:
    with psycopg.connect(postgresql.url) as one:
        assert one.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url.replace("postgres:", "postgres:not"))
    assert postgresql.url not in repr(postgresql)


def test_a_database_of_ones_own_is_gone_afterwards(postgresql: PostgreSQL) -> None:
    with postgresql_service.own_database(postgresql, "for-a-while") as own, psycopg.connect(own.url) as one:
        one.execute("CREATE TABLE kept (id INTEGER)")
    with pytest.raises(psycopg.OperationalError, match="for-a-while"):
        psycopg.connect(own.url)


def test_redis_killed_comes_back_under_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with redis_service.run(tmp_path) as first:
        parts = urlsplit(first.url)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        os.waitpid(first.pid, 0)
        with redis_service.serve(tmp_path, port=parts.port, password=parts.password) as second:
            assert second.url == first.url


def test_postgresql_killed_comes_back_with_its_rows(tmp_path: Path) -> None:
    with postgresql_service.home(tmp_path) as home, postgresql_service.serve(home) as first:
        with psycopg.connect(first.url) as one:
            one.execute("CREATE TABLE kept AS SELECT 7 AS number")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        port = urlsplit(first.url).port
        with postgresql_service.serve(home, port=port) as second, psycopg.connect(second.url) as one:
            assert second.url == first.url
            assert one.execute("SELECT number FROM kept").fetchone() == (7,)
    assert not home.data.exists() or home.account is None


def test_data_that_are_to_be_kept_and_whose_making_is_cut_are_not(
    tmp_path: Path, temporary_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary_directory)
    monkeypatch.setattr(postgresql_service, "INIT_SECONDS", 0.05)  # initdb takes longer
    with pytest.raises(HarnessError, match="initdb took longer"):
        postgresql_service.kept_home(tmp_path / "home")
    assert list(Path(temporary_directory).iterdir()) == []
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["postgresql.log"]


def test_a_postgresql_that_stands_still_answers_nobody_and_goes_on_by_itself(tmp_path: Path) -> None:
    """The look at it is what the thread would do that ends a fault at its time."""
    world: Any = None  # a server is all it touches
    with own_postgresql(tmp_path) as (server, _), psycopg.connect(server.url, autocommit=True) as connection:
        long, short = FreezeServer(world, server, 60.0), FreezeServer(world, server, 0.3)
        long.begin()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url, connect_timeout=2)
        assert not long.over()
        long.end()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        short.begin()
        assert connection.execute("SELECT 2").fetchone() == (2,)
        assert eventually(short.over)
        short.end()


@pytest.mark.parametrize("service", ["redis", "postgresql"])
def test_it_listens_on_loopback_and_ends_with_its_killed_owner(
    service: str, tmp_path: Path, temporary_directory: str
) -> None:
    program = (
        f"import pathlib, sys, time\nfrom harness.services import {service} as service\n"
        "with service.run(pathlib.Path(sys.argv[1])) as s:\n    print(s.pid, flush=True)\n    time.sleep(60)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("REDIS_URL", "DATABASE_URL")}
    environment["TMPDIR"] = temporary_directory
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    assert {link.laddr.ip for link in server.net_connections("tcp") if link.status == "LISTEN"} == {"127.0.0.1"}
    family = [server, *server.children(recursive=True)]
    password = [word for one in family for word in one.cmdline() if "requirepass" in word or "password" in word]
    assert password == []
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    owner.stdout.close()
    assert eventually(lambda: all(map(ended, family)))


@pytest.mark.parametrize(
    ("variable", "service", "scheme"),
    [("REDIS_URL", redis_service, "redis"), ("DATABASE_URL", postgresql_service, "postgresql")],
)
def test_a_given_one_that_does_not_answer_is_an_input_error(
    variable: str, service: ModuleType, scheme: str, closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"{scheme}://u:geheim@127.0.0.1:{closed_port}/0")
    with pytest.raises(InputError, match=f"{variable}.*127.0.0.1:{closed_port}") as caught, service.run(tmp_path):
        pass
    assert "geheim" not in str(caught.value)


def test_a_given_one_is_used(
    redis: Redis, postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis.url)
    monkeypatch.setenv("DATABASE_URL", postgresql.url)
    with redis_service.run(tmp_path) as given, postgresql_service.run(tmp_path) as database:
        assert (given, database) == (Redis(redis.url), PostgreSQL(postgresql.url))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://h", "h:6379"])
def test_malformed_redis_url_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(InputError, match="REDIS_URL must look like"), redis_service.run(tmp_path):
        pass
