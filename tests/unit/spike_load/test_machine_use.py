"""How busy the machine is said to be."""

from __future__ import annotations

import time

import psutil
import pytest

from harness.spike import facts
from harness.spike.machine_use import busy_cores


def work(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_a_busy_loop_is_seen_and_no_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = psutil.cpu_count()
    monkeypatch.setattr(facts, "machine", lambda: {"cores": cores})
    busy_cores()
    work(0.5)
    found = busy_cores()
    assert found is not None
    assert 0.3 < found <= cores


def test_a_process_that_may_not_use_all_cores_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "machine", lambda: {"cores": psutil.cpu_count() - 0.5})
    assert busy_cores() is None
