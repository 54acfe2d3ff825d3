"""Where the application's outside is: read from the environment, checked once per distinct setting."""

from __future__ import annotations

import getpass
import os
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_SMTP_URL = "smtp://127.0.0.1:1025"
DEFAULT_SERVICES_URL = "http://127.0.0.1:8025"


class SettingsError(ValueError):
    """An environment variable holds something unusable; the message names it and says what it should be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The services the tasks use. `services_url` has no trailing slash."""

    smtp_host: str
    smtp_port: int
    services_url: str
    database_url: str
    files_dir: Path


def current() -> Settings:
    """The settings of this process's environment, read anew at each call (tests and forks may change it)."""
    get = os.environ.get
    return _parse(
        get("EXAMX_SMTP_URL") or DEFAULT_SMTP_URL,
        get("EXAMX_SERVICES_URL") or DEFAULT_SERVICES_URL,
        get("EXAMX_DATABASE_URL") or "",
        get("EXAMX_FILES_DIR") or "",
    )


def user_directory() -> Path:
    """The directory used where none is set: one per user under the system's temporary directory."""
    return Path(tempfile.gettempdir()) / f"examx-{_user_name()}"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's arbitrary user id has no name
        return str(os.getuid())


@lru_cache(maxsize=32)
def _parse(smtp_url: str, services_url: str, database_url: str, files_dir: str) -> Settings:
    host, port = _smtp_address(smtp_url)
    return Settings(
        smtp_host=host,
        smtp_port=port,
        services_url=_services(services_url),
        database_url=_database(database_url),
        files_dir=Path(files_dir) if files_dir else user_directory() / "files",
    )


def _smtp_address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or 25
    except ValueError:
        port = 0
    if parts.scheme != "smtp" or not parts.hostname or not port:
        raise SettingsError(f"EXAMX_SMTP_URL is {url!r}; expected smtp://host:port")
    return parts.hostname, port


def _services(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"EXAMX_SERVICES_URL is {url!r}; expected http://host:port")
    return url.rstrip("/")


def _database(url: str) -> str:
    if not url:
        return f"sqlite:///{user_directory() / 'examx.sqlite3'}"
    if "://" not in url:
        raise SettingsError(
            f"EXAMX_DATABASE_URL is {url!r}; expected an SQLAlchemy URL such as sqlite:////data/examx.db"
        )
    if url.rstrip("/") == "sqlite:" or ":memory:" in url:
        raise SettingsError(
            "EXAMX_DATABASE_URL names an in-memory database; workers share the database, so name a file"
        )
    return url
