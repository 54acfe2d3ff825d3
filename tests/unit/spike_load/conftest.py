"""A small topology and scenario to build on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.chart.yaml_strict import parse
from harness.spike.scenario import Scenario, parse_scenario

SCENARIO = """\
name: small
title: Small
description: A few tasks.
limit_seconds: 60
seed: 7
services:
  smtp: {latency_seconds: 2}
tasks:
  - {task: mail, share: 3, service_seconds: 2, cpu_seconds: 0.01}
  - {task: ask, share: 1, kwargs: {rows: 1}, service_seconds: 6, cpu_seconds: 0.02}
  - {task: pdf, service_seconds: 4, cpu_seconds: 0.1}
phases:
  - {name: burst, count: 100}
publisher: {deadline_seconds: 30, cpu_seconds: 0.001}
objectives:
  - {name: lost, max: 0}
"""


def make(text: str = SCENARIO, **replaced: str) -> Scenario:
    """Parse the scenario above with whole lines replaced: `phases="- {...}"` puts another list below that key."""
    for key, block in replaced.items():
        lines, found, skipping = [], False, False
        for line in text.splitlines():
            if line.startswith(f"{key}:"):
                found = skipping = True
                lines.append(f"{key}:\n  {block}" if block[0] == "-" else f"{key}: {block}")
            elif not (skipping and line.startswith(" ")):
                skipping = False
                lines.append(line)
        assert found, key
        text = "\n".join(lines)
    return parse_scenario(parse(text, "small.yaml"), source=Path("small.yaml"))


@pytest.fixture
def topology() -> dict[str, Any]:
    def one(concurrency: int, low: int, high: int) -> dict[str, Any]:
        return {"concurrency": concurrency, "replicas": {"min": low, "max": high}}

    return {
        "default_queue": "io",
        "routes": [{"task": "pdf", "queue": "cpu"}, {"task": "clean*", "queue": "mixed"}],
        "queues": {name: {"class": name} for name in ("io", "cpu", "mixed")},
        "classes": {"io": one(10, 1, 5), "cpu": one(2, 1, 3), "mixed": one(4, 2, 2)},
    }
