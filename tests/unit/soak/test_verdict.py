"""What a soak is judged by; each rule is broken once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.soak import charts, report
from harness.soak.ledger import DEATHS, Columns, Offer
from harness.soak.mix import KINDS, make
from harness.soak.verdict import Verdict, judge, rates, recovery_seconds, total_seconds

TASKS = 400
MIX = make(TASKS, key="0a1b2c3d", rng=random.Random(1))


def sample(t: float, done: int, *, part: int = 1, ready: int = 2, queued: int = 10) -> dict[str, Any]:
    return {
        "t": t, "part": part, "accepted": done, "done": done, "fault": "",
        "queues": {"io": [queued, 0]}, "pods": {"io": [ready, 2]}, "cpu": {"workers": t / 10},
    }  # fmt: skip


SAMPLES = [sample(float(t), t * 10) for t in range(0, 41, 2)]
NOTES: list[dict[str, Any]] = [
    {"t": 10.0, "fault": "kill-workers", "what": "begins", "in_work": {"io": 4}, "number": 100, "breakers": {}},
    {"t": 12.0, "fault": "kill-workers", "what": "ends", "in_work": {}, "number": 120, "breakers": {}},
]


def judged(**changes: Any) -> Verdict:
    """A run in which all went well, but for some columns or facts."""
    whole = {
        "kinds": MIX.kinds(),
        "offers": bytes([Offer.ACCEPTED]) * TASKS,
        "effects": bytes([1]) * TASKS,
        "deaths": bytes(TASKS),
        "waiting": bytes(TASKS),
    }
    columns = Columns(**{**whole, **{name: changes.pop(name) for name in list(changes) if name in whole}})
    facts: dict[str, Any] = {
        "samples": SAMPLES, "notes": NOTES, "doubts": [], "calls": {}, "unknown": {}, "at_least_per_second": 5.0,
    }  # fmt: skip
    return judge(name="run", seed=1, mix=MIX, columns=columns, mail_queue="io", **{**facts, **changes})


def one(value: int, *, at: int, of: int = 0) -> bytes:
    column = bytearray([of]) * TASKS
    column[at] = value
    return bytes(column)


def first(effect: str) -> int:
    return next(number for number in range(TASKS) if MIX.kind_of(number).effect == effect)


def test_a_run_in_which_all_went_well_passes() -> None:
    verdict = judged()
    assert verdict.passed
    assert (verdict.total["accepted"], verdict.total["completed"], verdict.total["lost"]) == (TASKS, TASKS, 0)
    assert verdict.per_second == 10.0
    assert [(row.fault, row.accepted, row.lost) for row in verdict.strikes] == [("kill-workers", 300, 0)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"effects": one(0, at=150, of=1)}, "1 accepted tasks were lost"),
        ({"effects": one(0, at=9, of=1), "offers": one(Offer.OFFERED, at=9, of=Offer.ACCEPTED)}, "never confirmed"),
        ({"effects": one(0, at=9, of=1), "offers": one(Offer.NEVER, at=9, of=Offer.ACCEPTED)}, "never offered"),
        ({"effects": one(0, at=9, of=1), "offers": one(Offer.REFUSED, at=9, of=Offer.ACCEPTED)}, "refused for good"),
        ({"effects": one(0, at=9, of=1), "waiting": one(1, at=9)}, "still queued"),
        ({"effects": one(0, at=9, of=1), "deaths": one(DEATHS.index("failed"), at=9)}, "dead-lettered as failed"),  # type: ignore[arg-type]
        ({"effects": one(2, at=first("row"), of=1)}, "1 row effects happened again"),
        ({"effects": one(200, at=first("mail"), of=1)}, "mails were sent again"),
        ({"unknown": {"files": 2}}, "2 files belong to no task"),
        ({"at_least_per_second": 300.0}, "10 tasks a second, 300 wanted"),
        ({"samples": [sample(float(t), t * 10, ready=1 if t > 8 else 2) for t in range(0, 41, 2)]}, "never came back"),
    ],
)
def test_each_rule(changes: dict[str, Any], words: str) -> None:
    verdict = judged(**changes)
    assert not verdict.passed
    assert words in "; ".join(verdict.problems)


def test_a_lost_task_is_named_and_stands_in_its_fault_s_row() -> None:
    verdict = judged(effects=one(0, at=150, of=1))
    assert verdict.lost_ids == [MIX.id_of(150)]
    assert verdict.strikes[0].lost == 1


def test_mails_in_work_or_in_doubt_at_a_strike_may_be_sent_again() -> None:
    again = one(6, at=first("mail"), of=1)
    assert not judged(effects=again).passed
    assert judged(effects=again, doubts=[{"mails": 1}]).passed


def test_the_time_between_two_parts_does_not_count() -> None:
    cut = [sample(0, 0), sample(10, 100), sample(1000, 100, part=2), sample(1010, 200, part=2)]
    assert total_seconds(cut) == 20
    assert rates(cut) == [None, 10.0, None, 10.0]
    assert judged(samples=cut, notes=[]).cpu_seconds == {"workers": 102.0}


def test_recovery_needs_pods_and_work_or_nothing_left_to_do() -> None:
    slow = [*SAMPLES[:6], sample(12, 100), sample(14, 100), sample(16, 110), sample(18, 130)]
    assert recovery_seconds(slow, 11.0) == 5.0
    idle = [*SAMPLES[:6], sample(12, 100, queued=0)]
    assert recovery_seconds(idle, 11.0) == 1.0


def test_a_page_shows_the_account_and_escapes_what_came_from_the_run() -> None:
    verdict = judged(effects=one(0, at=150, of=1), unknown={"<script>": 1})
    setup = {"values_files": ["prod.yaml"], "commit": None, "machine": {"cores": 2, "system": "x"}, "versions": {}}
    page = report.render(verdict, SAMPLES, setup)
    assert MIX.id_of(150) in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http_", "")
    assert all(kind.title in page for kind in KINDS)


def test_charts_leave_holes_where_nothing_was_measured() -> None:
    away = [*SAMPLES[:3], {**SAMPLES[3], "queues": None}, *SAMPLES[4:]]
    queues = next(chart for chart in charts.charts(away, ()) if chart.title == "In the queues")
    assert len(queues.lines[0].segments) == 2
