"""The stand-ins of this session, and an application that uses them with its own database and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examx.standins.profile import SERVICES
from tests.local.examx.running import Standins, standins


@pytest.fixture(scope="session")
def session_standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standins]:
    with standins(tmp_path_factory.mktemp("standins")) as running:
        yield running


@pytest.fixture
def services(session_standins: Standins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standins:
    """The session's stand-ins with a plain profile; this process's tasks use them and a database of this test."""
    session_standins.set_profile(seed=1, **{name: {} for name in SERVICES})
    for name, value in session_standins.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXAMX_DATABASE_URL", f"sqlite:///{tmp_path / 'examx.sqlite3'}")
    monkeypatch.setenv("EXAMX_FILES_DIR", str(tmp_path / "files"))
    return session_standins


@pytest.fixture(scope="session")
def app() -> Any:
    from examx import app

    app.loader.import_default_modules()
    return app
