"""Getting a PostgreSQL for one run."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from harness import packages, processes, scratch, starting
from harness.errors import HarnessError, InputError
from harness.logs import tail
from harness.urls import redact

INIT_SECONDS = 60.0  # about 1 s on an idle machine
START_SECONDS = 60.0
ANSWER_SECONDS = 3
STOP_SECONDS = 5.0
ACCOUNTS = ("postgres", "nobody")  # the server refuses to run as root; the first of these that exists runs it then
USER = "postgres"
TEMPORARY = f"{scratch.PREFIX}postgresql-"
_DIRECTORIES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")

INSTALL_HELP = """\
no PostgreSQL in reach. Do one of these:
  Debian, Ubuntu   apt-get install postgresql   (as root this is done for you)
  Fedora           dnf install postgresql-server
  macOS            brew install postgresql
  any              set DATABASE_URL=postgresql://user:password@host:5432/database"""


@dataclass(frozen=True)
class PostgreSQL:
    """A PostgreSQL that answers. `pid` is the server's when we run it ourselves."""

    url: str = field(repr=False)  # carries the password
    pid: int | None = None


@dataclass(frozen=True)
class Home:
    """A server's data, made by initdb and kept between its starts."""

    data: Path
    log: Path
    account: str | None  # the user that owns it, None for our own
    password: str = field(repr=False)


KEPT = "home.json"


def kept_home(directory: Path) -> Home:
    """Return the data below `directory`, made where there is none yet; it stays until `remove_home`.

    As `home` it may stand in a temporary directory. Raises HarnessError.
    """
    note = directory / KEPT
    log = directory / "postgresql.log"
    if note.exists():
        known = json.loads(note.read_text())
        return Home(Path(known["data"]), log, known["account"], known["password"])
    programs, account = _programs(), _account()
    directory.mkdir(parents=True, exist_ok=True)
    place = directory if account is None else Path(tempfile.mkdtemp(prefix=TEMPORARY))
    made = Home(place / "data", log, account, secrets.token_urlsafe(16))
    try:
        if account is not None:
            shutil.chown(place, account)
        _initialise(programs, made, place / "password")
        note.touch(mode=0o600)  # the password stands there
        note.write_text(json.dumps({"data": str(made.data), "account": account, "password": made.password}))
    except BaseException:
        note.unlink(missing_ok=True)
        shutil.rmtree(made.data if account is None else place, ignore_errors=True)
        raise
    return made


def remove_home(directory: Path) -> None:
    """Remove the data that `kept_home` made, wherever it stands. Nothing is served from it any more."""
    note = directory / KEPT
    if note.exists():
        data = Path(json.loads(note.read_text())["data"])
        shutil.rmtree(data.parent if data.parent.name.startswith(TEMPORARY) else data, ignore_errors=True)
        note.unlink()


def find_programs() -> Path | None:
    """The directory of initdb and postgres, or None when they are not installed."""
    on_path = shutil.which("initdb")
    beside = [Path(on_path).resolve().parent] if on_path else []
    newest_first = sorted((path for pattern in _DIRECTORIES for path in Path("/").glob(pattern[1:])), reverse=True)
    for directory in (*beside, *newest_first):
        if all(os.access(directory / name, os.X_OK) for name in ("initdb", "postgres")):
            return directory
    return None


def prepare() -> str:
    """Make sure that `run` will find a PostgreSQL, installing the distribution's package if need be; return where.

    Raises as `run` does.
    """
    if given := os.environ.get("DATABASE_URL"):
        _check(given)
        return "given"
    return str(_programs())


@contextlib.contextmanager
def run(directory: Path, *, port: int | None = None) -> Iterator[PostgreSQL]:
    """Yield the PostgreSQL at $DATABASE_URL, or one of our own below `directory` that ends with the block.

    Raises InputError for a given one that does not answer, and as `home` and `serve` do.
    """
    if given := os.environ.get("DATABASE_URL"):
        _check(given)
        yield PostgreSQL(given)
        return
    with home(directory) as made, serve(made, port=port) as running:
        yield running


@contextlib.contextmanager
def home(directory: Path) -> Iterator[Home]:
    """Make the data of a server of our own; `serve` can then be entered again and again, as after a kill.

    It stands below `directory`, or, where we are root and the account that must own it cannot get there, in a temporary
    directory that goes with the block. Raises HarnessError when there is no way to a PostgreSQL.
    """
    programs = _programs()
    directory.mkdir(parents=True, exist_ok=True)
    account = _account()
    with _own_place(directory, account) as place:
        made = Home(place / "data", directory / "postgresql.log", account, secrets.token_urlsafe(16))
        _initialise(programs, made, place / "password")
        yield made


@contextlib.contextmanager
def serve(made: Home, *, port: int | None = None) -> Iterator[PostgreSQL]:
    """Run a server on that data, on loopback and with a password, until the block ends.

    It does not wait for the disk (fsync is off): its own death loses nothing, the machine's may. Raises InputError for
    a port that is taken, HarnessError when it does not come up.
    """
    if port is not None:
        _wait_for_port(port)
    with contextlib.ExitStack() as stack:
        programs = _programs()
        yield starting.with_retries(
            stack, lambda trial, _: _start(trial, programs, made, port or processes.free_port())
        )


def _wait_for_port(port: int) -> None:
    """Return once the port is free: the children of a server that was killed hold it for a moment longer."""
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            processes.require_free_port(port, option="PostgreSQL's port")
        except InputError:
            if time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(processes.POLL_SECONDS)


@contextlib.contextmanager
def own_database(server: PostgreSQL, name: str) -> Iterator[PostgreSQL]:
    """Yield the server with an empty database that exists for the block only. Raises HarnessError."""
    quoted = psycopg.sql.Identifier(name)
    _execute(server.url, psycopg.sql.SQL("CREATE DATABASE {}").format(quoted))
    try:
        yield replace(server, url=urlsplit(server.url)._replace(path=f"/{name}").geturl())
    finally:
        _execute(server.url, psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(quoted))


def _execute(url: str, statement: psycopg.sql.Composed) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=ANSWER_SECONDS) as connection:
            connection.execute(statement)
    except psycopg.Error as error:
        raise HarnessError(f"PostgreSQL at {redact(url)}: {error}") from error


def _account() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in known:
            return name
    raise HarnessError(f"PostgreSQL does not run as root, and there is none of the users {', '.join(ACCOUNTS)}")


@contextlib.contextmanager
def _own_place(directory: Path, account: str | None) -> Iterator[Path]:
    if account is None:
        yield directory
        return
    with scratch.directory("postgresql") as place:
        shutil.chown(place, account)
        yield place


def _initialise(programs: Path, made: Home, password_file: Path) -> None:
    password_file.touch(mode=0o600)  # a file, so that the password is not among the arguments
    password_file.write_text(made.password)
    if made.account is not None:
        shutil.chown(password_file, made.account)
    arguments = (
        f"--pgdata={made.data}",
        f"--username={USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    )
    _run_initdb([programs / "initdb", *arguments], made)
    password_file.unlink()


def _run_initdb(command: Sequence[str | Path], made: Home) -> None:
    try:
        with made.log.open("ab") as output:
            done = subprocess.run(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=made.data.parent,
                timeout=INIT_SECONDS,
                check=False,
                **processes.as_account(made.account),
            )
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"initdb took longer than {INIT_SECONDS:.0f} s:\n{tail(made.log)}") from error
    if done.returncode != 0:
        raise HarnessError(f"initdb failed:\n{tail(made.log)}")


def _start(stack: contextlib.ExitStack, programs: Path, made: Home, port: int) -> PostgreSQL:
    settings = {
        "listen_addresses": processes.LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "300",  # a gevent worker may have 200 tasks at once
        "shared_buffers": "64MB",
        # Commits still reach the kernel before they are answered (synchronous_commit stays on), so a killed server
        # keeps every row it said it had.
        "fsync": "off",
        "full_page_writes": "off",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    _forget_zombie(made)
    process = processes.start(
        [programs / "postgres", "-D", made.data, *options], log=made.log, cwd=made.data.parent, account=made.account
    )
    # QUIT is PostgreSQL's immediate stop: no checkpoint, but its children and shared memory go with it.
    stack.callback(processes.stop, process, grace_seconds=STOP_SECONDS, first_signal=signal.SIGQUIT)
    url = f"postgresql://{USER}:{made.password}@{processes.LOOPBACK}:{port}/postgres"
    starting.wait_until_up(process, lambda: _answers(url), what="PostgreSQL's", seconds=START_SECONDS, logs=[made.log])
    return PostgreSQL(url, process.pid)


def _forget_zombie(made: Home) -> None:
    """Remove the lock of a server that was killed but not waited for: PostgreSQL takes a zombie for a live one."""
    lock = made.data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        if psutil.Process(int(lock.read_text().splitlines()[0])).status() == psutil.STATUS_ZOMBIE:
            lock.unlink()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=ANSWER_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _programs() -> Path:
    return packages.ensure("postgresql", find_programs, what="PostgreSQL", help_text=INSTALL_HELP)


def _check(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=ANSWER_SECONDS).close()
    except psycopg.Error as error:
        raise InputError(
            f"no PostgreSQL answers at DATABASE_URL ({redact(url)}), {type(error).__name__}: start it, unset "
            "DATABASE_URL, or let it look like postgresql://user:password@host:5432/database"
        ) from error
