"""When watching a run ends, and how a run without any load is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import HarnessError
from harness.spike import run
from harness.spike.evidence import load_started_at


class Sampled(run.Watch):
    """A watch whose queues are empty."""

    def __init__(self, *, limit_seconds: float, load_starts_at: float, clock: Any) -> None:
        self._limit_seconds, self._load_starts_at, self._clock = limit_seconds, load_starts_at, clock
        self._quiet = run.QUIET_SAMPLES
        self.runtime = cast(Any, SimpleNamespace(tick=lambda: None))
        self.samples, self.timed_out = [], False

    def _sample(self, now: float) -> None:
        self.samples.append({"t": now})


def ended(code: int | None) -> Any:
    return SimpleNamespace(poll=lambda: code)


def test_a_load_generator_that_breaks_is_an_error_that_names_its_log() -> None:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    with pytest.raises(HarnessError, match=r"code -9: see locust\.log"):
        watch.until_done(ended(-9))


@pytest.mark.parametrize("code", [0, 1])
def test_a_load_that_ended_ends_the_watch_once_the_queues_are_empty(code: int) -> None:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    watch.until_done(ended(code))
    assert not watch.timed_out


def test_the_limit_counts_from_the_loads_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(run.time, "sleep", lambda _seconds: now.__setitem__(0, now[0] + 1))
    watch = Sampled(limit_seconds=10, load_starts_at=118.0, clock=lambda: now[0])
    watch.until_done(ended(None))
    assert watch.timed_out
    assert now[0] == 129.0


def test_a_run_without_any_offer_is_told_as_such() -> None:
    plan = cast(Any, SimpleNamespace(arrivals=[SimpleNamespace(id="a", due_seconds=0.0)]))
    with pytest.raises(HarnessError, match="offered no task"):
        load_started_at(plan, [])
