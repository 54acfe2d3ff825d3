"""The virtualenv's set-up, as far as it can be seen without installing anything."""

from __future__ import annotations

import importlib.util
import py_compile
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in a checkout of its own that has a virtualenv made from what it has now."""
    checkout = tmp_path / "a checkout"
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name in (*script.INPUTS, ".venv/bin/python"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(name)
    monkeypatch.setattr(script, "ROOT", checkout)
    monkeypatch.setattr(script, "VENV", checkout / ".venv")
    monkeypatch.setattr(script, "PYTHON", checkout / ".venv" / "bin" / "python")
    (checkout / ".venv" / "pyvenv.cfg").write_text(f"command = /usr/bin/python3 -m venv {checkout / '.venv'}\n")
    (checkout / ".venv" / "made-from").write_text(script.fingerprint())
    monkeypatch.setattr(script, "create_venv", lambda: None)
    monkeypatch.setattr(script, "install", lambda: pytest.fail("installed"))
    return script


def test_an_unchanged_lock_installs_nothing(bootstrap: ModuleType) -> None:
    assert bootstrap.main() == 0


@pytest.mark.parametrize(
    "changed", ["requirements.lock", "scripts/installers.lock", "pyproject.toml", "scripts/bootstrap.py"]
)
def test_what_changed_is_installed(bootstrap: ModuleType, changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(bootstrap, "install", lambda: installed.append(changed))
    (bootstrap.ROOT / changed).write_text("other")
    assert bootstrap.main() == 0
    assert bootstrap.main() == 0
    assert installed == [changed]


def test_a_copied_checkout_gets_a_virtualenv_of_its_own(bootstrap: ModuleType) -> None:
    assert bootstrap.made_here()
    (bootstrap.VENV / "pyvenv.cfg").write_text("command = /usr/bin/python3 -m venv /elsewhere/.venv\n")
    assert not bootstrap.made_here()


def test_an_interrupted_set_up_says_so_and_is_done_again(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "install", interrupted)
    (bootstrap.ROOT / "requirements.lock").write_text("other")
    assert bootstrap.main() == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (bootstrap.VENV / "made-from").exists()


def test_another_lock_is_added_once(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    monkeypatch.setattr(bootstrap, "install_also", added.append)
    lock = bootstrap.ROOT / "docs" / "requirements.lock"
    lock.parent.mkdir()
    lock.write_text("a")
    assert bootstrap.main(["docs/requirements.lock"]) == 0
    assert bootstrap.main(["docs/requirements.lock"]) == 0
    assert added == ["docs/requirements.lock"]
    lock.write_text("b")
    assert bootstrap.main(["docs/requirements.lock"]) == 0
    assert len(added) == 2


def test_a_lock_that_is_not_there_is_named(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["docs/requirement.lock"]) == 2
    assert "docs/requirement.lock: no such lock" in capsys.readouterr().err


def test_bytecode_that_another_checkout_takes_away_meanwhile_is_compiled(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, kept = tmp_path / "packages", tmp_path / "kept"
    code.mkdir()
    for name in ("first", "second"):
        (code / f"{name}.py").write_text("A = 1\n")
        compiled = kept / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
        py_compile.compile(str(code / f"{name}.py"), cfile=str(compiled), doraise=True)
    assert bootstrap.link_bytecode(kept, tmp_path / "all", of=code)

    def taken_away(file: Path, place: Path) -> None:
        file.unlink()
        shutil.copy2(file, place)

    monkeypatch.setattr(bootstrap, "link", taken_away)
    assert not bootstrap.link_bytecode(kept, tmp_path / "none", of=code)
