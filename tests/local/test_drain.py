"""Gevent workers use all their greenlets: fails if the event loop's stall comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.drain import OURS, STOCK, Drain, Load, drain, judge
from harness.broker.server import Broker

# Stock Celery does 10 to 20 tasks a second here and needs 10 s or more.
LOAD = Load(tasks=200, task_seconds=1.0, processes=1, concurrency=100)
SLOWEST = 2.0  # x ideal: room for a busy machine, far from the stall's 5 x and more


@pytest.mark.timeout(90)
def test_a_full_queue_drains_near_the_ideal(vhost_broker: Broker, tmp_path: Path) -> None:
    result = drain(vhost_broker, tmp_path / "ours", LOAD, limit_seconds=20 * LOAD.ideal_seconds)
    assert result.complete(LOAD)
    assert result.seconds <= SLOWEST * LOAD.ideal_seconds


@pytest.mark.full
@pytest.mark.timeout(90)
def test_stock_celery_still_stalls(vhost_broker: Broker, tmp_path: Path) -> None:
    """Shows that the test above can fail. When this one does, Celery has mended its loop: see ADR 0003."""
    limit_seconds = SLOWEST * LOAD.ideal_seconds
    result = drain(vhost_broker, tmp_path / "stock", LOAD, settings=STOCK, limit_seconds=limit_seconds)
    assert 0 < result.distinct < LOAD.tasks


def test_verdict_takes_the_median_and_needs_every_task_once() -> None:
    load = Load(tasks=10, task_seconds=1.0, processes=1, concurrency=1)

    def run(seconds: float, *, effects: int = 10) -> Drain:
        return Drain(OURS, seconds, effects, min(effects, 10))

    assert judge(load, [run(10.5), run(10.9), run(30.0)], None).passed
    assert not judge(load, [run(10.5), run(11.2), run(11.3)], None).passed
    assert not judge(load, [run(10.5), run(10.5), run(10.5, effects=9)], None).passed
    assert not judge(load, [run(10.5), run(10.5), run(10.5, effects=11)], None).passed
    assert judge(load, [run(10.0), run(10.5), run(11.0)], None).spread == 0.1
