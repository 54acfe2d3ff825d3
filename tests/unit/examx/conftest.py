"""The application's own database and files, one set a test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def database_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'examx.sqlite3'}"
    monkeypatch.setenv("EXAMX_DATABASE_URL", url)
    monkeypatch.setenv("EXAMX_FILES_DIR", str(tmp_path / "files"))
    return url
