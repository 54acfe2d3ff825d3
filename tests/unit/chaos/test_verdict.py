"""What a chaos run is judged by; each rule is broken once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.chaos.verdict import judge, mails_at_risk, recovery_seconds
from harness.errors import InputError
from harness.spike.result import Result
from harness.spike.timeline import Timeline
from tests.unit.spike_report.scenes import chaos_result

NOTES: list[dict[str, Any]] = [
    {"t": 13.0, "fault": "kill-workers", "what": "begins", "text": "", "in_work": {"io": 4, "cpu": 1}},
    {"t": 18.0, "fault": "kill-workers", "what": "strikes", "text": "", "in_work": {"io": 6}},
    {"t": 28.0, "fault": "kill-workers", "what": "ends", "text": "", "in_work": {}},
]


def timeline(depths: list[float | None], ready: list[int]) -> Timeline:
    seconds = tuple(range(len(depths)))
    nothing = tuple(0.0 for _ in depths)
    return Timeline(
        seconds=seconds,
        arrivals=nothing,
        accepted=nothing,
        refusals={},
        completions=nothing,
        queues={"io": {"ready": tuple(depths), "unacked": nothing}},
        replicas={
            "celery-io-worker": {
                "desired": tuple(2.0 for _ in depths),
                "running": tuple(2.0 for _ in depths),
                "ready": tuple(map(float, ready)),
            }
        },
        cpu_cores={},
        memory_bytes={},
        latency_seconds={},
    )


def test_recovery_waits_for_the_pods_and_for_the_backlog() -> None:
    depths: list[float | None] = [2.0] * 10 + [80.0] * 10 + [40.0] * 5 + [3.0] * 10
    ready = [2] * 12 + [1] * 15 + [2] * 8
    assert recovery_seconds(timeline(depths, ready), 20.4) == 7  # second 27 is the first with both


def test_without_an_end_of_the_backlog_there_is_no_recovery() -> None:
    assert recovery_seconds(timeline([2.0] * 10 + [80.0] * 10, [2] * 20), 12.0) is None


def test_a_second_nobody_measured_is_no_recovery() -> None:
    depths: list[float | None] = [2.0] * 10 + [None] * 5 + [2.0]
    assert recovery_seconds(timeline(depths, [2] * 16), 10.0) == 5


def test_mails_at_risk_are_those_in_work_at_each_strike() -> None:
    assert mails_at_risk(NOTES, "io") == 10
    assert mails_at_risk([*NOTES, {**NOTES[0], "in_work": None}], "io") == 16  # unknown: as many as ever
    assert mails_at_risk([{**NOTES[0], "fault": "slow-services"}], "io") == 0  # takes nothing from anybody


def note(fault: str, what: str, **breakers: tuple[str, int]) -> dict[str, Any]:
    seen = {name: {"state": state, "opened": opened} for name, (state, opened) in breakers.items()}
    return {"t": 20.0, "fault": fault, "what": what, "text": "", "in_work": {}, "breakers": seen}


@pytest.fixture
def sound() -> Result:
    return chaos_result("kill-workers")


def problems(result: Result, notes: list[dict[str, Any]] = NOTES) -> str:
    shifted = [{**one, "t": result.started_at + one["t"]} for one in notes]
    return "\n".join(judge(result, shifted, seed=1, mail_queue="io").problems)


def test_a_sound_run_has_no_problem(sound: Result) -> None:
    assert problems(sound) == ""


def phase(result: Result, **counts: int) -> Result:
    changed = {**result.by_phase["kill-workers"], **counts}
    return replace(result, by_phase={**result.by_phase, "kill-workers": changed})


def test_lost_tasks_are_a_problem(sound: Result) -> None:
    assert "kill-workers: 2 tasks lost" in problems(phase(sound, lost=2))


@pytest.mark.parametrize(
    ("reason", "allowed"), [("expired", True), ("failed", False), ("poison", False), ("dropped", False)]
)
def test_a_dead_letter_needs_an_explanation(sound: Result, reason: str, allowed: bool) -> None:
    told = problems(phase(sound, dead_lettered=1, **{reason: 1}))
    assert ("which it does not explain" in told) is not allowed


def test_rows_and_files_must_not_happen_again(sound: Result) -> None:
    assert "1 row effects happened again" in problems(replace(sound, duplicates={"row": 1}))


def test_mails_may_be_sent_again_as_often_as_they_were_in_work(sound: Result) -> None:
    assert problems(replace(sound, duplicates={"mail": 10})) == ""
    assert "11 mails were sent again, more than the 10" in problems(replace(sound, duplicates={"mail": 11}))


def test_workers_must_come_back(sound: Result) -> None:
    last = len(sound.timeline.seconds) - 1
    late = [{**NOTES[2], "t": float(last + 60)}]
    assert "never came back to ordinary work" in problems(sound, [*NOTES[:2], *late])


def test_a_breaker_must_open_while_the_database_is_away_and_close_again(sound: Result) -> None:
    away, back = "database-down", note("", "after", database=("closed", 1))
    opened = [note(away, "begins", database=("closed", 0)), note(away, "ends", database=("open", 1))]
    assert "breaker" not in problems(sound, [*NOTES, *opened, back])
    idle = [note(away, "begins", database=("closed", 1)), note(away, "ends", database=("closed", 1))]
    assert "database-down: no circuit breaker opened" in problems(sound, [*NOTES, *idle, back])
    left = note("", "after", database=("open", 1))
    assert "circuit breaker database was still open at the end" in problems(sound, [*NOTES, *opened, left])


def test_notes_of_another_version_are_refused(sound: Result) -> None:
    with pytest.raises(InputError, match="there is no fault 'flood'"):
        problems(sound, [{**NOTES[0], "fault": "flood"}])
