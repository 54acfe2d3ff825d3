"""A Celery app that publishes as the chart's topology says."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from celery import Celery

from harness.chart.values import CHART

CELERYCONFIG = CHART / "files" / "celeryconfig.py"


def publisher_app(topology: Mapping[str, Any], *, broker_url: str) -> Celery:
    """Return an app with the settings a publisher of the release has.

    They come from the very celeryconfig.py the chart mounts. Nothing is imported from the workers' application.
    """
    app = Celery("spike", set_as_current=False)
    app.conf.update(_celeryconfig(topology).make_settings(topology, {"CELERY_BROKER_URL": broker_url}))
    app.conf.update(
        task_ignore_result=True,
        task_send_sent_event=False,  # one more message a task would double what publishing costs
    )
    return app


def _celeryconfig(topology: Mapping[str, Any]) -> ModuleType:
    """Load the module as a container has it: beside its topology.json."""
    with tempfile.TemporaryDirectory(prefix="spike-") as directory:
        file = Path(shutil.copy(CELERYCONFIG, directory))
        file.with_name("topology.json").write_text(json.dumps(topology), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("spike_celeryconfig", file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{CELERYCONFIG} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
