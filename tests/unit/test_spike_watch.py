"""When watching a run ends, and what stays of a run that fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import HarnessError, InputError
from harness.spike import run, watching
from harness.spike.evidence import load_started_at
from harness.spike.load import JOURNALS
from harness.spike.local_site import LocalSite
from harness.spike.prepared import Request
from harness.spike.progress import SilentProgress


class Sampled(watching.Watch):
    """A watch whose queues are empty."""

    def __init__(self, *, limit_seconds: float, load_starts_at: float, clock: Any) -> None:
        self._limit_seconds, self._load_starts_at, self._clock = limit_seconds, load_starts_at, clock
        self._quiet = watching.QUIET_SAMPLES
        self.runtime = cast(Any, SimpleNamespace(tick=lambda: None))
        self.samples, self.timed_out = [], False
        self._journals = cast(Any, SimpleNamespace(glob=lambda _pattern: self.journals))
        self.journals = ["publisher-0.jsonl"]

    def _sample(self, now: float) -> None:
        self.samples.append({"t": now})


def ended(code: int | None) -> Any:
    return SimpleNamespace(poll=lambda: code)


def test_a_load_generator_that_breaks_is_an_error_that_names_its_log() -> None:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    with pytest.raises(HarnessError, match=r"code -9: see locust\.log"):
        watch.until_done(ended(-9))


def test_a_load_generator_that_wrote_nothing_is_an_error_though_it_ends_like_one_that_missed() -> None:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    watch.journals = []
    with pytest.raises(HarnessError, match=r"code 1: see locust\.log"):
        watch.until_done(ended(1))


@pytest.mark.parametrize("code", [0, 1])
def test_a_load_that_ended_ends_the_watch_once_the_queues_are_empty(code: int) -> None:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    watch.until_done(ended(code))
    assert not watch.timed_out


def test_the_limit_counts_from_the_loads_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(watching.time, "sleep", lambda _seconds: now.__setitem__(0, now[0] + 1))
    watch = Sampled(limit_seconds=10, load_starts_at=118.0, clock=lambda: now[0])
    watch.until_done(ended(None))
    assert watch.timed_out
    assert now[0] == 129.0


class Answers:
    """A management API that answers, or not, as it is told."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)

    def depths(self) -> dict[str, str]:
        if not self._answers.pop(0):
            raise HarnessError("the API does not answer")
        return {"io": "depth of io", "foreign": "depth of another's"}


def asking(*answers: bool) -> Sampled:
    watch = Sampled(limit_seconds=10, load_starts_at=0, clock=lambda: 0.0)
    watch._management, watch._work_queues = cast(Any, Answers(*answers)), frozenset({"io"})
    watch._answered_at, watch._silence_seconds = None, 30.0
    return watch


def test_a_question_the_broker_leaves_unanswered_does_not_end_the_run() -> None:
    watch = asking(True, False, True)
    assert watch._depths(0.0) == {"io": "depth of io"}
    assert watch._depths(20.0) is None
    assert watch._depths(40.0) == {"io": "depth of io"}


def test_a_broker_that_never_answered_ends_it() -> None:
    with pytest.raises(HarnessError, match="does not answer"):
        asking(False)._depths(0.0)


def test_a_broker_that_is_gone_ends_it() -> None:
    watch = asking(True, False)
    watch._depths(0.0)
    with pytest.raises(HarnessError, match="does not answer"):
        watch._depths(31.0)


def test_a_run_without_any_offer_is_told_as_such() -> None:
    plan = cast(Any, SimpleNamespace(arrivals=[SimpleNamespace(id="a", due_seconds=0.0)]))
    with pytest.raises(HarnessError, match="offered no task"):
        load_started_at(plan, [])


@pytest.mark.parametrize(
    ("error", "load_began", "kept"),
    [
        (InputError("refused"), False, []),
        (InputError("odd dead letter"), True, ["failed-id"]),
        (HarnessError("did not start"), False, ["failed-id"]),
        (ValueError("a defect"), False, ["failed-id"]),
        (KeyboardInterrupt(), True, []),
    ],
)
def test_a_failed_run_leaves_its_logs_unless_there_was_none(
    error: BaseException, load_began: bool, kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_prepared: Any, _site: Any, directory: Path, _progress: Any) -> None:
        if load_began:
            (directory / JOURNALS).mkdir()
        raise error

    monkeypatch.setattr(run, "prepare", lambda request, **_: SimpleNamespace(run_id="id", request=request))
    monkeypatch.setattr(run, "_perform", fails)
    request = Request(scenario="any", environment="prod", reports=tmp_path)
    with pytest.raises(type(error)):
        run.run(request, site=LocalSite(), progress=SilentProgress())
    assert [path.name for path in tmp_path.iterdir()] == kept
