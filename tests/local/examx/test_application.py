"""The application's settings, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def run(code: str, *path: Path) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    environment = {"PYTHONPATH": ":".join(str(part) for part in (*path, ROOT)), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_mounted_celeryconfig_is_applied(tmp_path: Path):
    (tmp_path / "celeryconfig.py").write_text("task_default_queue = 'from-the-mount'\n")
    assert run("from examx import app; print(app.conf.task_default_queue)", tmp_path) == "from-the-mount"


def test_without_a_mount_tasks_are_acknowledged_late_and_json_only():
    code = "from examx import app; c = app.conf; print(c.task_acks_late, c.accept_content, c.task_default_queue)"
    assert run(code) == "True ['json'] celery"


def test_broker_comes_from_the_environment():
    code = (
        "import os; os.environ['CELERY_BROKER_URL'] = 'amqp://u:p@h:1//'\n"
        "from examx import app; print(app.conf.broker_url)"
    )
    assert run(code) == "amqp://u:p@h:1//"


def test_catalogue_and_effects_need_no_celery():
    code = "import sys, examx.catalogue, examx.effects; print('celery' in sys.modules)"
    assert run(code) == "False"


def test_tasks_are_registered_without_the_heavy_libraries():
    code = (
        "import sys\nfrom examx import app\napp.loader.import_default_modules()\n"
        "print([m for m in ('pandas', 'numpy', 'openpyxl', 'reportlab', 'pypdf', 'PIL') if m in sys.modules])"
    )
    assert run(code) == "[]"


def test_cpu_class_imports_them_before_it_forks():
    code = (
        "import os, sys\nos.environ['CELERY_WORKERS_CLASS'] = {!r}\nfrom celery.signals import worker_init\n"
        "from examx import app\nassert app.main == 'examx'\nworker_init.send(sender=None)\n"
        "print('pandas' in sys.modules)"
    )
    assert run(code.format("cpu")) == "True"
    assert run(code.format("io")) == "False"
