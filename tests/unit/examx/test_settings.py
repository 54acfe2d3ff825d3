"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from examx import settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMTP_URL", "SERVICES_URL", "DATABASE_URL", "FILES_DIR"):
        monkeypatch.delenv(f"EXAMX_{name}", raising=False)


def test_defaults_are_local_and_the_users_own():
    found = settings.current()
    assert (found.smtp_host, found.smtp_port) == ("127.0.0.1", 1025)
    assert found.services_url == "http://127.0.0.1:8025"
    assert found.database_url == f"sqlite:///{settings.user_directory() / 'examx.sqlite3'}"
    assert found.files_dir == settings.user_directory() / "files"


def test_everything_can_be_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXAMX_SMTP_URL", "smtp://mail.example:2525")
    monkeypatch.setenv("EXAMX_SERVICES_URL", "https://services.example/v1/")
    monkeypatch.setenv("EXAMX_DATABASE_URL", "postgresql://db/examx")
    monkeypatch.setenv("EXAMX_FILES_DIR", "/srv/files")
    assert settings.current() == settings.Settings(
        smtp_host="mail.example",
        smtp_port=2525,
        services_url="https://services.example/v1",
        database_url="postgresql://db/examx",
        files_dir=Path("/srv/files"),
    )


def test_a_change_is_seen_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXAMX_SMTP_URL", "smtp://one")
    assert settings.current().smtp_host == "one"
    monkeypatch.setenv("EXAMX_SMTP_URL", "smtp://two")
    assert settings.current().smtp_host == "two"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXAMX_SMTP_URL", "mail.example:25"),
        ("EXAMX_SMTP_URL", "smtp://"),
        ("EXAMX_SMTP_URL", "smtp://host:port"),
        ("EXAMX_SERVICES_URL", "services.example"),
        ("EXAMX_SERVICES_URL", "ftp://services.example"),
        ("EXAMX_DATABASE_URL", "/data/examx.db"),
        ("EXAMX_DATABASE_URL", "sqlite://"),
        ("EXAMX_DATABASE_URL", "sqlite:///:memory:"),
    ],
)
def test_unusable_value_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match=name):
        settings.current()
